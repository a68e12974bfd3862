// Attention over paged K and V. Spec: design notes "Attention over paged KV"; one canonical order for any
// tile, chunk, thread count and instruction set:
//   s[j] = fma chain over d = 0..head_dim-1 of q[d]*k[d][j]            (q already carries the attention
//   scale) per block of 32 tokens, in order: m' = max(m, max s); c = exp(m - m'); p[j] = exp(s[j] - m')
//     l = fma(l, c, tree(p: +16 +8 +4 +2 +1));  o = o*c, then fma(p[j], v[j], o) for j = 0..31
//   a fresh (m, l, o) every 1024 tokens of absolute position ("part"); parts are merged in order, from left
//   to right.
// A masked token has p = 0 exactly; a block or part that a query cannot see at all is skipped.
//
// A KV block holds 32 tokens of one layer group. Inside it, per layer and KV head (see KvLayout in
// kv/layout.h):
//   K  [head_dim_padded / 32][32 dimensions][32 tokens]    lanes are tokens
//   V  [head_dim_padded / 32][32 tokens][32 dimensions]    lanes are dimensions
// so everything is read linearly. head_dim_padded is head_dim rounded up to 32; the padding is zero.
// kv_type.h has the types; k and v above are the values that they stand for, which are floats exactly (a
// scale has 11 bits, an integer 8).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/thread_pool.h"
#include "kernels/kv_type.h"

namespace quipu::kernels {

inline constexpr int kBlockTokens = 32;   // tokens of a KV block
inline constexpr int kPartTokens = 1024;  // a fresh running softmax starts at every multiple of this position

struct AttentionShape {
  int n_heads = 0;     // query heads
  int n_kv_heads = 0;  // divides n_heads
  int head_dim_k = 0;  // padded, multiple of 32
  int head_dim_v = 0;  // padded, multiple of 32
  KvType type_k = KvType::kF16;
  KvType type_v = KvType::kF16;
  size_t k_offset = 0;  // bytes from a block's start to this layer's K of head 0
  size_t v_offset = 0;
  size_t k_head_bytes = 0;  // bytes from one head's K to the next
  size_t v_head_bytes = 0;
  int64_t window = 0;  // a query at p sees keys in (p - window, p]; 0: all keys up to p
};

// Consecutive rows of one sequence in the batch.
struct AttentionSeq {
  int64_t row0 = 0;  // first row in q and out
  int64_t n_rows = 0;
  int64_t position0 = 0;  // position of the first row; its own K and V are already stored
  const std::byte* const* blocks =
      nullptr;  // block b holds tokens 32b .. 32b+31; enough for position0 + n_rows
};

// Writes K and V of the sequence's n_rows rows into its blocks (row0 is not added): k [n_rows, n_kv_heads *
// head_dim_k] and v likewise (float, row strides ldk, ldv; heads already padded). Values are rounded to the
// cache type (f16, bf16: nearest even, clamped to their largest; q8_0, q4_0: as GGUF's; NaN to 0, so that a
// masked token can never leak). blocks of AttentionSeq are written here.
void store_kv(ThreadPool& pool, const AttentionShape& shape, const AttentionSeq& seq, const float* k,
              int64_t ldk, const float* v, int64_t ldv);

// Scratch bytes for attention() of up to max_rows rows in all; independent of the context length.
size_t attention_scratch_bytes(const AttentionShape& shape, int64_t max_rows, int n_threads);

// q [rows, n_heads * head_dim_k] (scaled), out [rows, n_heads * head_dim_v]; row strides ldq, ldo. K and V
// are read once per KV head and tile of queries. scratch is 64-byte aligned.
void attention(ThreadPool& pool, const AttentionShape& shape, std::span<const AttentionSeq> seqs,
               const float* q, int64_t ldq, float* out, int64_t ldo, std::byte* scratch);

}  // namespace quipu::kernels
