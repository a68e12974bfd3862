// Compiled once, for the baseline: what is stored must be the same bits on every machine. The loops have a
// form that any instruction set's vectors can take.
#include <algorithm>
#include <cmath>

#include "kernels/kv_type.h"
#include "quant/codec.h"

namespace quipu::kernels {

namespace {

constexpr int kValues = 32;
constexpr float kHalfMax = 65504.0f;

// NaN as 0, and nothing beyond what the largest scale can express.
void keep(const float* x, float limit, float* y) {
  for (int i = 0; i < kValues; ++i) {
    const float v = x[i] == x[i] ? x[i] : 0.0f;
    y[i] = std::min(std::max(v, -limit), limit);
  }
}

}  // namespace

uint16_t kv_round_q8(const float* x, uint8_t* q) {
  float y[kValues];
  keep(x, 127.0f * kHalfMax, y);
  float most = 0;
  for (int i = 0; i < kValues; ++i) most = std::max(most, std::fabs(y[i]));
  const float d = most / 127.0f;
  const uint16_t scale = float_to_half(d);
  if (scale == 0) {  // too small for a scale: zeros
    std::fill(q, q + kValues, uint8_t{0});
    return 0;
  }
  const float inverse = 1.0f / d;
  for (int i = 0; i < kValues; ++i) {
    // Half away from zero, as std::round: the largest float below 0.5 is added, so that what lies just below
    // a half does not reach it.
    const float scaled = y[i] * inverse;
    q[i] = static_cast<uint8_t>(static_cast<int>(scaled + std::copysign(0x1.fffffep-2f, scaled)));
  }
  return scale;
}

uint16_t kv_round_q4(const float* x, uint8_t* q) {
  float y[kValues];
  keep(x, 8.0f * kHalfMax, y);
  float most = 0, signed_most = 0;  // the first of equals
  for (int i = 0; i < kValues; ++i)
    if (std::fabs(y[i]) > most) most = std::fabs(y[i]), signed_most = y[i];
  const float d = signed_most / -8.0f;
  const uint16_t scale = float_to_half(d);
  if ((scale & 0x7fff) == 0) {
    std::fill(q, q + kValues, uint8_t{8});
    return 0;
  }
  const float inverse = 1.0f / d;
  for (int i = 0; i < kValues; ++i)
    q[i] = static_cast<uint8_t>(std::min(static_cast<int>(y[i] * inverse + 8.5f), 15));
  return scale;
}

}  // namespace quipu::kernels
