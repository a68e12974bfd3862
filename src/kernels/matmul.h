// Matrix products over a file's own quantised rows. y[t][r] = dot(W row r, x[t]).
//
// One canonical reduction order (ARCHITECTURE.md): each output element has one defined bit pattern, whatever
// the instruction set, the number of tokens, the thread count or the path (decode stream, repacked panel) it
// came through.
//   quantised weights  blocks in file order, one float accumulator from +0; I and M are exact integers:
//                      t = d*float(I)                       Q8_0, Q4_0, Q6_K
//                      t = fma(d, float(I), -(m*float(M)))  Q4_K (m = dmin), Q4_1 (m = -m of the file)
//                      acc = fma(dx, t, acc)
//   F32, F16, BF16     float activations; element k goes to lane k mod 32, each lane a chain of fma in rising
//   k, then
//                      lanes are added in a tree: +16, +8, +4, +2, +1
// Activations for quantised weights: int8, one scale per weight block (32 or 256): d = max|x|/127,
// a = rint(x * (127/max|x|)), never -128.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/thread_pool.h"
#include "quant/type.h"

namespace quipu::kernels {

// A weight matrix as it lies in the file: n_rows rows of n_cols elements, rows adjacent. No alignment is
// assumed.
struct Weights {
  const std::byte* data = nullptr;
  TensorType type = TensorType::kF32;
  int64_t n_rows = 0;  // outputs
  int64_t n_cols = 0;  // inputs, a multiple of the type's block
};

// How the activations must be prepared for a weight type.
enum class ActKind : uint8_t { kFloat, kInt8Per32, kInt8Per256 };
ActKind act_kind(TensorType type);

// Bytes that prepare() writes for n_tokens rows of n_cols.
size_t act_bytes(ActKind kind, int64_t n_cols, int64_t n_tokens);

// Quantises x [n_tokens, n_cols] (row stride ldx floats) into `acts` (64-byte aligned, act_bytes()). For
// kFloat it copies. Deterministic per token.
void prepare(ThreadPool& pool, ActKind kind, const float* x, int64_t ldx, int64_t n_cols, int64_t n_tokens,
             std::byte* acts);

// One product of a pass: out [n_tokens, n_rows] with row stride ldy floats.
struct Product {
  Weights w;
  float* y = nullptr;
  int64_t ldy = 0;
};

// Bytes of scratch each worker of the pool needs for matmul() with these weights (n_cols at most `max_cols`).
size_t matmul_scratch_bytes(int64_t max_cols);

// All products share the prepared activations (their act_kind must be the one they were prepared for), so
// that q, k, v or gate and up run as one pass over the threads. `scratch`: pool.size() *
// matmul_scratch_bytes(max n_cols), 64-byte aligned. Work is split by rows only.
void matmul(ThreadPool& pool, std::span<const Product> products, const std::byte* acts, int64_t n_tokens,
            std::byte* scratch);

// The comparison path (--activations f32): weights are decoded to float32 exactly and multiplied with float
// activations x [n_tokens, n_cols] in the order of F32 weights. Slow, any computable type.
void matmul_exact(ThreadPool& pool, std::span<const Product> products, const float* x, int64_t ldx,
                  int64_t n_tokens, std::byte* scratch);

// dst[0..n_cols) = row `row` of w, decoded exactly (embedding look-up).
void decode_weight_row(const Weights& w, int64_t row, float* dst);

}  // namespace quipu::kernels
