// Decoding and encoding of block formats, the reference for every kernel. Spec:
// gguf-and-models 2.2, 2.3, 2.5.
#pragma once

#include <cstddef>
#include <cstdint>

#include "quant/type.h"

namespace quipu {

// n must be a multiple of the type's block; src and dst must not overlap; src needs no alignment.
// Decoding is bit-exact with the reference decoder. `type` must be computable.
void decode_row(TensorType type, const std::byte* src, float* dst, int64_t n);

// The reference encoder without an importance matrix.
void encode_row(TensorType type, const float* src, std::byte* dst, int64_t n);

float half_to_float(uint16_t h);
uint16_t float_to_half(float f);  // round to nearest even; NaN stays NaN
float bf16_to_float(uint16_t b);
uint16_t float_to_bf16(float f);

}  // namespace quipu
