#include "kernels/matmul_float.h"

#include "kernels/avx512/float_vector.h"

namespace quipu::kernels::avx512 {

namespace {

#define QUIPU_INLINE_LAMBDA __attribute__((always_inline))

// 4 rows x 6 tokens: 24 sums, 4 of weights, 1 of activations of 32 registers; a row alone by 6 tokens: 12
// sums.
constexpr int kBatchRows = 4, kBatchTokens = 6, kRowTokens = 6;

#include "kernels/matmul_float_simd.inc.h"

}  // namespace

void decode_f32(const RowsJob& job, int64_t row0, int64_t row1) { rows_in_order<F32>(job, row0, row1); }
void decode_f16(const RowsJob& job, int64_t row0, int64_t row1) { rows_in_order<F16>(job, row0, row1); }
void decode_bf16(const RowsJob& job, int64_t row0, int64_t row1) { rows_in_order<BF16>(job, row0, row1); }
void batch_f32(const RowsJob& job, int64_t row0, int64_t row1) { batch_rows<F32>(job, row0, row1); }
void batch_f16(const RowsJob& job, int64_t row0, int64_t row1) { batch_rows<F16>(job, row0, row1); }
void batch_bf16(const RowsJob& job, int64_t row0, int64_t row1) { batch_rows<BF16>(job, row0, row1); }
float dot_f32(const float* a, const float* b, int64_t n) { return dot_of(a, b, n); }

}  // namespace quipu::kernels::avx512
