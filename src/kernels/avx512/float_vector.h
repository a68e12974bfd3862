// Vectors of 16 floats under the names that the shared kernel bodies use. Unnamed namespace: what is compiled
// here with AVX-512 must not be linked into other files.
#pragma once

#include <immintrin.h>

#include "kernels/exp_constants.h"

namespace quipu::kernels::avx512 {
namespace {

using F = __m512;
constexpr int kN = 16;  // floats of a vector
constexpr int kTileQueries =
    12;  // register tile 12 x 2 vectors: 24 sums, 2 of B, 1 broadcast of 32 registers
constexpr int kTileVectors = 2;
constexpr int kWideQueries = 12;  // two vectors are all 32 columns: B is always read in one pass

#define QUIPU_INLINE inline __attribute__((always_inline))

QUIPU_INLINE F load(const float* p) { return _mm512_loadu_ps(p); }
QUIPU_INLINE F load_half(const void* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(p)));
}
QUIPU_INLINE F load_bf16(const void* p) {
  return _mm512_castsi512_ps(
      _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(static_cast<const __m256i*>(p))), 16));
}
QUIPU_INLINE F load_int8(const void* p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p))));
}
// Columns 0 to 15 are the low halves of 16 bytes, 16 to 31 the high ones; less 8. A permutation looks at the
// low 4 bits of an index alone.
QUIPU_INLINE F load_nibbles(const void* row, int column) {
  const F values = _mm512_setr_ps(-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7);
  const __m512i bytes = _mm512_cvtepu8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(row)));
  return _mm512_permutexvar_ps(column == 0 ? bytes : _mm512_srli_epi32(bytes, 4), values);
}
QUIPU_INLINE void store(float* p, F v) { _mm512_storeu_ps(p, v); }
QUIPU_INLINE void store_half(void* p, F v) {
  _mm256_storeu_si256(static_cast<__m256i*>(p),
                      _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
// To nearest even; no NaN, nothing beyond the largest bf16.
QUIPU_INLINE void store_bf16(void* p, F v) {
  const __m512i bits = _mm512_castps_si512(v);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i sum = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
  _mm256_storeu_si256(static_cast<__m256i*>(p), _mm512_cvtepi32_epi16(_mm512_srli_epi32(sum, 16)));
}
QUIPU_INLINE F all(float x) { return _mm512_set1_ps(x); }
QUIPU_INLINE F broadcast(const float* p) { return _mm512_set1_ps(*p); }
QUIPU_INLINE F zero() { return _mm512_setzero_ps(); }
QUIPU_INLINE F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
QUIPU_INLINE F mul(F a, F b) { return _mm512_mul_ps(a, b); }
QUIPU_INLINE F add(F a, F b) { return _mm512_add_ps(a, b); }
QUIPU_INLINE F sub(F a, F b) { return _mm512_sub_ps(a, b); }
QUIPU_INLINE F div(F a, F b) { return _mm512_div_ps(a, b); }
QUIPU_INLINE float square_root(float x) { return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(x))); }
QUIPU_INLINE F negate(F a) { return _mm512_xor_ps(a, _mm512_set1_ps(-0.0f)); }
// Of a NaN in the first operand the second one is the result.
QUIPU_INLINE F max(F a, F b) { return _mm512_max_ps(a, b); }
QUIPU_INLINE F min(F a, F b) { return _mm512_min_ps(a, b); }
QUIPU_INLINE F zero_nan(F a) { return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(a, a, _CMP_ORD_Q), a); }
// v where first <= lane number + base < end, else minus infinity.
QUIPU_INLINE F keep_lanes(F v, int base, int first, int end) {
  const __m512i lane = _mm512_add_epi32(
      _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), _mm512_set1_epi32(base));
  const __mmask16 in = _mm512_mask_cmplt_epi32_mask(_mm512_cmpge_epi32_mask(lane, _mm512_set1_epi32(first)),
                                                    lane, _mm512_set1_epi32(end));
  return _mm512_mask_mov_ps(_mm512_set1_ps(-__builtin_inff()), in, v);
}

// See exp_constants.h.
QUIPU_INLINE F exp(F x) {
  const F t = fma(x, all(kExpLog2E), all(kExpRound));
  const F n = sub(t, all(kExpRound));
  const F r = _mm512_fnmadd_ps(n, all(kExpLn2Lo), _mm512_fnmadd_ps(n, all(kExpLn2Hi), x));
  F p = fma(all(kExpC6), r, all(kExpC5));
  p = fma(p, r, all(kExpC4));
  p = fma(p, r, all(kExpC3));
  p = fma(p, r, all(kExpC2));
  p = fma(p, r, all(1.0f));
  p = fma(p, r, all(1.0f));
  const __m512i exponent = _mm512_slli_epi32(_mm512_castps_si512(t), kExpMantissaBits);
  const __mmask16 in = _mm512_cmp_ps_mask(x, all(kExpLowest), _CMP_GE_OQ);
  return _mm512_castsi512_ps(_mm512_maskz_add_epi32(in, _mm512_castps_si512(p), exponent));
}
QUIPU_INLINE F exp_full(F x) {
  return _mm512_mask_mov_ps(exp(x), _mm512_cmp_ps_mask(x, all(kExpHighest), _CMP_GT_OQ),
                            all(__builtin_inff()));
}

// Pairs (a, b) of neighbours times cos c and sin s of 8 pairs: (a c - b s, b c + a s).
QUIPU_INLINE F rotate_pairs(F x, const float* c, const float* s) {
  const __m512i twice = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
  const F cc = _mm512_permutexvar_ps(twice, _mm512_castps256_ps512(_mm256_loadu_ps(c)));
  const F ss = _mm512_permutexvar_ps(twice, _mm512_castps256_ps512(_mm256_loadu_ps(s)));
  return _mm512_fmaddsub_ps(x, cc, _mm512_mul_ps(_mm512_permute_ps(x, 0xB1), ss));
}

struct Add {
  QUIPU_INLINE F operator()(F a, F b) const { return add(a, b); }
};
struct Max {
  QUIPU_INLINE F operator()(F a, F b) const { return max(a, b); }
};

// x: Q rows of 16 lanes. Lane q of the result: row q reduced in the order +8, +4, +2, +1. A row without
// partner meets itself.
template <int Q, class Op>
QUIPU_INLINE F reduce_rows(F* x, Op op) {
  constexpr int kA = (Q + 1) / 2, kB = (kA + 1) / 2, kC = (kB + 1) / 2, kD = (kC + 1) / 2;
  static_assert(kD == 1);
#pragma GCC unroll 8
  for (int i = 0; i < kA; ++i) {
    const F a = x[2 * i], b = x[2 * i + 1 < Q ? 2 * i + 1 : 2 * i];
    x[i] = op(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xEE));
  }
#pragma GCC unroll 8
  for (int i = 0; i < kB; ++i) {
    const F a = x[2 * i], b = x[2 * i + 1 < kA ? 2 * i + 1 : 2 * i];
    x[i] = op(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xDD));
  }
#pragma GCC unroll 8
  for (int i = 0; i < kC; ++i) {
    const F a = x[2 * i], b = x[2 * i + 1 < kB ? 2 * i + 1 : 2 * i];
    x[i] = op(_mm512_shuffle_ps(a, b, 0x44), _mm512_shuffle_ps(a, b, 0xEE));
  }
  const F a = x[0], b = x[1 < kC ? 1 : 0];
  const F sums = op(_mm512_shuffle_ps(a, b, 0x88), _mm512_shuffle_ps(a, b, 0xDD));
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  return _mm512_permutexvar_ps(order, sums);
}

// 32 lanes in 2 vectors to one of 16 lanes: +16.
template <class Op>
QUIPU_INLINE F fold_32(const F* v, Op op) {
  return op(v[0], v[1]);
}

}  // namespace
}  // namespace quipu::kernels::avx512
