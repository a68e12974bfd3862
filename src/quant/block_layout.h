// Details of block layouts that decoder, encoder and kernels share.
#pragma once

#include <cstdint>

namespace quipu {

struct ScaleMin {
  int scale, min;  // 0..63
};

// Group g's (0..7) 6-bit scale and minimum in the 12 packed bytes of a Q4_K block.
inline ScaleMin q4_k_scale(const uint8_t* s, int g) {
  if (g < 4) return {s[g] & 63, s[g + 4] & 63};
  return {(s[g + 4] & 15) | (s[g - 4] >> 6) << 4, (s[g + 4] >> 4) | (s[g] >> 6) << 4};
}

}  // namespace quipu
