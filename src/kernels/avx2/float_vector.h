// Vectors of 8 floats under the names that the shared kernel bodies use. Unnamed namespace: what is compiled
// here with AVX2 must not be linked into other files.
#pragma once

#include <immintrin.h>

#include "kernels/exp_constants.h"

namespace quipu::kernels::avx2 {
namespace {

using F = __m256;
constexpr int kN = 8;            // floats of a vector
constexpr int kTileQueries = 6;  // register tile 6 x 2 vectors: 12 sums, 2 of B, 1 broadcast of 16 registers
constexpr int kTileVectors = 2;
// Up to 3 queries all 32 columns fit at once (12 sums, 3 broadcasts, 1 of B): B is then read in one pass.
constexpr int kWideQueries = 3;

#define QUIPU_INLINE inline __attribute__((always_inline))

QUIPU_INLINE F load(const float* p) { return _mm256_loadu_ps(p); }
QUIPU_INLINE F load_half(const void* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(static_cast<const __m128i*>(p)));
}
QUIPU_INLINE F load_bf16(const void* p) {
  return _mm256_castsi256_ps(
      _mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p))), 16));
}
QUIPU_INLINE F load_int8(const void* p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(static_cast<const __m128i*>(p))));
}
// Columns 0 to 15 are the low halves of 16 bytes, 16 to 31 the high ones; less 8.
QUIPU_INLINE F load_nibbles(const void* row, int column) {
  const __m128i bytes =
      _mm_loadl_epi64(reinterpret_cast<const __m128i*>(static_cast<const char*>(row) + column % 16));
  const __m128i wanted = _mm_srl_epi16(bytes, _mm_cvtsi32_si128(column < 16 ? 0 : 4));
  const __m256i n = _mm256_cvtepu8_epi32(_mm_and_si128(wanted, _mm_set1_epi8(15)));
  return _mm256_cvtepi32_ps(_mm256_sub_epi32(n, _mm256_set1_epi32(8)));
}
QUIPU_INLINE void store(float* p, F v) { _mm256_storeu_ps(p, v); }
QUIPU_INLINE void store_half(void* p, F v) {
  _mm_storeu_si128(static_cast<__m128i*>(p),
                   _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
// To nearest even; no NaN, nothing beyond the largest bf16.
QUIPU_INLINE void store_bf16(void* p, F v) {
  const __m256i bits = _mm256_castps_si256(v);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i sum = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
  const __m256i high = _mm256_srli_epi32(sum, 16);
  _mm_storeu_si128(static_cast<__m128i*>(p),
                   _mm_packus_epi32(_mm256_castsi256_si128(high), _mm256_extracti128_si256(high, 1)));
}
QUIPU_INLINE F all(float x) { return _mm256_set1_ps(x); }
QUIPU_INLINE F broadcast(const float* p) { return _mm256_broadcast_ss(p); }
// By a factor that is kept in memory as a whole vector: attention's widest tile takes all 16 registers, and
// the compiler, when it sees a factor used again, gives it one of them and keeps a sum in memory instead,
// whose chain of additions then waits for stores (attention_bench: 14.1 ns a key instead of 12.7).
QUIPU_INLINE F mul_kept(F x, const float* at) {
  F product;
  asm("vmulps %2, %1, %0" : "=x"(product) : "x"(x), "m"(*reinterpret_cast<const __m256_u*>(at)));
  return product;
}
QUIPU_INLINE F zero() { return _mm256_setzero_ps(); }
QUIPU_INLINE F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
QUIPU_INLINE F mul(F a, F b) { return _mm256_mul_ps(a, b); }
QUIPU_INLINE F add(F a, F b) { return _mm256_add_ps(a, b); }
QUIPU_INLINE F sub(F a, F b) { return _mm256_sub_ps(a, b); }
QUIPU_INLINE F div(F a, F b) { return _mm256_div_ps(a, b); }
QUIPU_INLINE float square_root(float x) { return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(x))); }
QUIPU_INLINE F negate(F a) { return _mm256_xor_ps(a, _mm256_set1_ps(-0.0f)); }
// Of a NaN in the first operand the second one is the result.
QUIPU_INLINE F max(F a, F b) { return _mm256_max_ps(a, b); }
QUIPU_INLINE F min(F a, F b) { return _mm256_min_ps(a, b); }
QUIPU_INLINE F zero_nan(F a) { return _mm256_and_ps(a, _mm256_cmp_ps(a, a, _CMP_ORD_Q)); }
// v where first <= lane number + base < end, else minus infinity.
QUIPU_INLINE F keep_lanes(F v, int base, int first, int end) {
  const __m256i lane = _mm256_add_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_epi32(base));
  const __m256i out = _mm256_or_si256(_mm256_cmpgt_epi32(_mm256_set1_epi32(first), lane),
                                      _mm256_cmpgt_epi32(lane, _mm256_set1_epi32(end - 1)));
  return _mm256_blendv_ps(v, _mm256_set1_ps(-__builtin_inff()), _mm256_castsi256_ps(out));
}

// See exp_constants.h.
QUIPU_INLINE F exp(F x) {
  const F t = fma(x, all(kExpLog2E), all(kExpRound));
  const F n = sub(t, all(kExpRound));
  const F r = _mm256_fnmadd_ps(n, all(kExpLn2Lo), _mm256_fnmadd_ps(n, all(kExpLn2Hi), x));
  F p = fma(all(kExpC6), r, all(kExpC5));
  p = fma(p, r, all(kExpC4));
  p = fma(p, r, all(kExpC3));
  p = fma(p, r, all(kExpC2));
  p = fma(p, r, all(1.0f));
  p = fma(p, r, all(1.0f));
  const __m256i exponent = _mm256_slli_epi32(_mm256_castps_si256(t), kExpMantissaBits);
  const F v = _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), exponent));
  return _mm256_and_ps(v, _mm256_cmp_ps(x, all(kExpLowest), _CMP_GE_OQ));
}
QUIPU_INLINE F exp_full(F x) {
  return _mm256_blendv_ps(exp(x), all(__builtin_inff()), _mm256_cmp_ps(x, all(kExpHighest), _CMP_GT_OQ));
}

// Pairs (a, b) of neighbours times cos c and sin s of 4 pairs: (a c - b s, b c + a s).
QUIPU_INLINE F rotate_pairs(F x, const float* c, const float* s) {
  const __m256i twice = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3);
  const F cc = _mm256_permutevar8x32_ps(_mm256_castps128_ps256(_mm_loadu_ps(c)), twice);
  const F ss = _mm256_permutevar8x32_ps(_mm256_castps128_ps256(_mm_loadu_ps(s)), twice);
  return _mm256_fmaddsub_ps(x, cc, _mm256_mul_ps(_mm256_permute_ps(x, 0xB1), ss));
}

struct Add {
  QUIPU_INLINE F operator()(F a, F b) const { return add(a, b); }
};
struct Max {
  QUIPU_INLINE F operator()(F a, F b) const { return max(a, b); }
};

// x: Q rows of 8 lanes. Lane q of the result: row q reduced in the order +4, +2, +1. A row without partner
// meets itself.
template <int Q, class Op>
QUIPU_INLINE F reduce_rows(F* x, Op op) {
  constexpr int kA = (Q + 1) / 2, kB = (kA + 1) / 2, kC = (kB + 1) / 2;
  static_assert(kC == 1);
#pragma GCC unroll 8
  for (int i = 0; i < kA; ++i) {
    const F a = x[2 * i], b = x[2 * i + 1 < Q ? 2 * i + 1 : 2 * i];
    x[i] = op(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31));
  }
#pragma GCC unroll 8
  for (int i = 0; i < kB; ++i) {
    const F a = x[2 * i], b = x[2 * i + 1 < kA ? 2 * i + 1 : 2 * i];
    x[i] = op(_mm256_shuffle_ps(a, b, 0x44), _mm256_shuffle_ps(a, b, 0xEE));
  }
  const F a = x[0], b = x[1 < kB ? 1 : 0];
  const F sums = op(_mm256_shuffle_ps(a, b, 0x88), _mm256_shuffle_ps(a, b, 0xDD));
  return _mm256_permutevar8x32_ps(sums, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

// 32 lanes in 4 vectors to one of 8 lanes: +16, +8.
template <class Op>
QUIPU_INLINE F fold_32(const F* v, Op op) {
  return op(op(v[0], v[2]), op(v[1], v[3]));
}

}  // namespace
}  // namespace quipu::kernels::avx2
