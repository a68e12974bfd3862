#include "kernels/matmul_float.h"

#include "kernels/avx2/float_vector.h"

namespace quipu::kernels::avx2 {

namespace {

#define QUIPU_INLINE_LAMBDA __attribute__((always_inline))

// 2 rows x 3 tokens x 2 vectors: 12 sums, 4 of weights of 16 registers; a row alone by 3 tokens: 12 sums as
// well.
constexpr int kBatchRows = 2, kBatchTokens = 3, kRowTokens = 3;


#include "kernels/matmul_float_simd.inc.h"

}  // namespace

void decode_f32(const RowsJob& job, int64_t row0, int64_t row1) { rows_in_order<F32>(job, row0, row1); }
void decode_f16(const RowsJob& job, int64_t row0, int64_t row1) { rows_in_order<F16>(job, row0, row1); }
void decode_bf16(const RowsJob& job, int64_t row0, int64_t row1) { rows_in_order<BF16>(job, row0, row1); }
void batch_f32(const RowsJob& job, int64_t row0, int64_t row1) { batch_rows<F32>(job, row0, row1); }
void batch_f16(const RowsJob& job, int64_t row0, int64_t row1) { batch_rows<F16>(job, row0, row1); }
void batch_bf16(const RowsJob& job, int64_t row0, int64_t row1) { batch_rows<BF16>(job, row0, row1); }
float dot_f32(const float* a, const float* b, int64_t n) { return dot_of(a, b, n); }

}  // namespace quipu::kernels::avx2
