// How K and V are stored in a KV block. Plain C types only: kernels of every instruction set include this.
//
// The values of one head of 32 tokens are groups of 32 dimensions, each group a piece of memory of its own:
//   f32, f16, bf16   [32 rows][32 columns]
//   q8_0             [32 columns' or rows' scales, f16] [32 rows][32 columns] int8
//   q4_0             the same, [32 rows][16]: column c in the low half of byte c, column c + 16 in its high
//                    half; the value is what is stored less 8
// K: rows are dimensions, columns are tokens. V: rows are tokens, columns are dimensions. A scale belongs to
// a token: 32 values of one token are a block of GGUF's q8_0 and q4_0, rounded as there, so a cache holds
// what such a block would.
#pragma once

#include <cstdint>

namespace quipu::kernels {

enum class KvType : uint8_t { kF16, kF32, kBf16, kQ8_0, kQ4_0 };

constexpr bool kv_is_quantised(KvType t) { return t == KvType::kQ8_0 || t == KvType::kQ4_0; }

// Bytes of 32 values of one token.
constexpr int kv_bytes_per_32(KvType t) {
  switch (t) {
    case KvType::kF32:
      return 128;
    case KvType::kQ8_0:
      return 34;
    case KvType::kQ4_0:
      return 18;
    case KvType::kF16:
    case KvType::kBf16:
      break;
  }
  return 64;
}

// Bytes of the scales at the front of a group, and of one of its rows.
constexpr int kv_scale_bytes(KvType t) { return kv_is_quantised(t) ? 64 : 0; }
constexpr int kv_row_bytes(KvType t) { return kv_bytes_per_32(t) - (kv_is_quantised(t) ? 2 : 0); }

// 32 values as q8_0 and q4_0: the scale as f16, the values as they are stored, a byte each. Larger values
// than a scale can express are clamped, NaN is 0.
uint16_t kv_round_q8(const float* x, uint8_t* q);
uint16_t kv_round_q4(const float* x, uint8_t* q);

}  // namespace quipu::kernels
