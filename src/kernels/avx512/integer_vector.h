// 512-bit helpers of the matrix products with quantised weights. Unnamed namespace, see float_vector.h.
#pragma once

#include <immintrin.h>

#include "kernels/matmul_impl.h"

namespace quipu::kernels::avx512 {
namespace {

#include "kernels/ymm_integer.inc.h"

QUIPU_INLINE __m512i load64_bytes(const void* p) { return _mm512_loadu_si512(p); }
QUIPU_INLINE __m512i low_nibbles(__m512i v) { return _mm512_and_si512(v, _mm512_set1_epi8(15)); }
QUIPU_INLINE __m512i high_nibbles(__m512i v) { return low_nibbles(_mm512_srli_epi16(v, 4)); }
QUIPU_INLINE __m512i all_bits(const void* p) { return _mm512_set1_epi32(load_i32(p)); }

// a | (b & c)
QUIPU_INLINE __m512i or_and(__m512i a, __m512i b, __m512i c) {
  return _mm512_ternarylogic_epi64(a, b, c, 0xf8);
}

// Lane i of the result: the sum of v[i]'s lanes.
QUIPU_INLINE __m256i sum_each(const __m512i* v) {
  __m512i pair[4], quad[2];
  QUIPU_UNROLL for (int i = 0; i < 4; ++i) pair[i] = _mm512_add_epi32(
      _mm512_unpacklo_epi32(v[2 * i], v[2 * i + 1]), _mm512_unpackhi_epi32(v[2 * i], v[2 * i + 1]));
  QUIPU_UNROLL for (int i = 0; i < 2; ++i) quad[i] =
      _mm512_add_epi32(_mm512_unpacklo_epi64(pair[2 * i], pair[2 * i + 1]),
                       _mm512_unpackhi_epi64(pair[2 * i], pair[2 * i + 1]));
  // 128-bit lanes: of blocks 0-3 twice, of blocks 4-7 twice; then those next to each other meet.
  const __m512i x = _mm512_add_epi32(_mm512_shuffle_i32x4(quad[0], quad[1], 0x88),
                                     _mm512_shuffle_i32x4(quad[0], quad[1], 0xdd));
  const __m512i y = _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 1, 4, 5, 2, 3, 6, 7), x);
  return _mm256_add_epi32(_mm512_castsi512_si256(y), _mm512_extracti64x4_epi64(y, 1));
}

// Lane i of the result: the sum of the i-th half vector's lanes (the low half of v[0] is the 0th).
QUIPU_INLINE __m256i sum_each_half(const __m512i* v) {
  const __m512i a = _mm512_add_epi32(_mm512_unpacklo_epi32(v[0], v[1]), _mm512_unpackhi_epi32(v[0], v[1]));
  const __m512i b = _mm512_add_epi32(_mm512_unpacklo_epi32(v[2], v[3]), _mm512_unpackhi_epi32(v[2], v[3]));
  const __m512i c = _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
  // 128-bit lanes 0, 1: even halves; 2, 3: odd ones.
  const __m512i d = _mm512_add_epi32(c, _mm512_shuffle_i32x4(c, c, 0xb1));
  const __m512i order = _mm512_setr_epi32(0, 8, 1, 9, 2, 10, 3, 11, 0, 0, 0, 0, 0, 0, 0, 0);
  return _mm512_castsi512_si256(_mm512_permutexvar_epi32(order, d));
}

}  // namespace
}  // namespace quipu::kernels::avx512
