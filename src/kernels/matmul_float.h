// Products with float weights: what the vector instruction sets' matmul.cc take from their matmul_float.cc.
#pragma once

#include "kernels/matmul_impl.h"

#define QUIPU_FLOAT_FUNCTIONS                                       \
  void decode_f32(const RowsJob& job, int64_t row0, int64_t row1);  \
  void decode_f16(const RowsJob& job, int64_t row0, int64_t row1);  \
  void decode_bf16(const RowsJob& job, int64_t row0, int64_t row1); \
  void batch_f32(const RowsJob& job, int64_t row0, int64_t row1);   \
  void batch_f16(const RowsJob& job, int64_t row0, int64_t row1);   \
  void batch_bf16(const RowsJob& job, int64_t row0, int64_t row1);  \
  float dot_f32(const float* a, const float* b, int64_t n);

namespace quipu::kernels::avx2 {
QUIPU_FLOAT_FUNCTIONS
}
namespace quipu::kernels::avx512 {
QUIPU_FLOAT_FUNCTIONS
}

#undef QUIPU_FLOAT_FUNCTIONS
