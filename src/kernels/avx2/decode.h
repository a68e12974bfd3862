// One token: the block terms of eight consecutive blocks. See decode_stream().
#pragma once

#include <immintrin.h>

#include "kernels/matmul_impl.h"

namespace quipu::kernels::avx2 {
namespace {

#include "kernels/ymm_integer.inc.h"

QUIPU_INLINE __m256i low_nibbles(__m256i v) { return _mm256_and_si256(v, _mm256_set1_epi8(15)); }
QUIPU_INLINE __m256i high_nibbles(__m256i v) { return low_nibbles(_mm256_srli_epi16(v, 4)); }

inline Decode256 decode_acts_256(const RowsJob& job) {
  Carver c{const_cast<std::byte*>(job.acts)};
  return carve_decode_256(c, job.n_cols);
}
inline Decode32 decode_acts_32(const RowsJob& job) {
  Carver c{const_cast<std::byte*>(job.acts)};
  return carve_decode_32(c, job.n_cols);
}

void decode_q4_k(const RowsJob& job, int64_t row0, int64_t row1) {
  constexpr int kBytes = 144;
  const Decode256 a = decode_acts_256(job);
  const auto term = [&](const uint8_t* p, int64_t u) {
    // Strictly forward through the weights: the headers of all eight blocks at once come last, when they are
    // in L1.
    __m256i sums[8];
    for (int b = 0; b < 8; ++b) {
      const __m256i s = _mm256_set1_epi64x(scales_q4_k(p + kBytes * b));
      const uint8_t* w = p + kBytes * b + 16;
      const int8_t* q = a.q + 256 * (u + b);
      __m256i even = _mm256_setzero_si256(), odd = even;
      QUIPU_UNROLL for (int i = 0; i < 4; ++i) {
        const __m256i nibbles = load32_bytes(w + 32 * i);
        const __m256i low = _mm256_maddubs_epi16(low_nibbles(nibbles), load32_bytes(q + 64 * i));
        const __m256i high = _mm256_maddubs_epi16(high_nibbles(nibbles), load32_bytes(q + 64 * i + 32));
        // Byte g of the scales in every int16 lane.
        const __m256i s0 = _mm256_shuffle_epi8(s, _mm256_set1_epi16(static_cast<int16_t>(-32768 + 2 * i)));
        const __m256i s1 =
            _mm256_shuffle_epi8(s, _mm256_set1_epi16(static_cast<int16_t>(-32768 + 2 * i + 1)));
        even = _mm256_add_epi32(even, _mm256_madd_epi16(low, s0));
        odd = _mm256_add_epi32(odd, _mm256_madd_epi16(high, s1));
      }
      sums[b] = _mm256_add_epi32(even, odd);
    }
    const HeaderQ4K h = load_header_q4_k(p, kBytes);
    __m256i pairs[4];
    pair_mins(h, pairs);
    __m256i mins = _mm256_madd_epi16(pairs[0], load32_bytes(a.pair_sums + u));
    QUIPU_UNROLL for (int i = 1; i < 4; ++i) mins =
        _mm256_add_epi32(mins, _mm256_madd_epi16(pairs[i], load32_bytes(a.pair_sums + i * a.entries + u)));
    return block_term(h.d, sum_each(sums), h.dmin, mins);
  };
  decode_stream<kBytes>(job, row0, row1, a.units, a.scale, term);
}

void decode_q6_k(const RowsJob& job, int64_t row0, int64_t row1) {
  constexpr int kBytes = 210;
  const Decode256 a = decode_acts_256(job);
  const auto term = [&](const uint8_t* p, int64_t u) {
    const __m256i top = _mm256_set1_epi8(0x30);
    // The even scales of a block as int16 in the low half, the odd ones in the high half.
    const __m256i split = _mm256_setr_epi8(-1, 0, -1, 2, -1, 4, -1, 6, -1, 8, -1, 10, -1, 12, -1, 14, -1, 1,
                                           -1, 3, -1, 5, -1, 7, -1, 9, -1, 11, -1, 13, -1, 15);
    __m256i sums[8];
    for (int b = 0; b < 8; ++b) {
      const uint8_t* w = p + kBytes * b;
      const int8_t* q = a.q + 256 * (u + b);
      const __m128i scale_bytes = load16_bytes(w + 192);
      const __m256i s =
          _mm256_srai_epi16(_mm256_shuffle_epi8(_mm256_broadcastsi128_si256(scale_bytes), split), 8);
      // The quants are stored with 32 added: -32 * scale * sum of 16, for all groups.
      __m256i sum = _mm256_slli_epi32(
          _mm256_madd_epi16(_mm256_cvtepi8_epi16(scale_bytes), load32_bytes(a.minus_sums16 + 16 * (u + b))),
          5);
      QUIPU_UNROLL for (int half = 0; half < 2; ++half) {
        const __m256i n0 = load32_bytes(w + 64 * half), n1 = load32_bytes(w + 64 * half + 32);
        const __m256i bits = load32_bytes(w + 128 + 32 * half);
        const __m256i quants[4] = {
            _mm256_or_si256(low_nibbles(n0), _mm256_and_si256(_mm256_slli_epi16(bits, 4), top)),
            _mm256_or_si256(low_nibbles(n1), _mm256_and_si256(_mm256_slli_epi16(bits, 2), top)),
            _mm256_or_si256(high_nibbles(n0), _mm256_and_si256(bits, top)),
            _mm256_or_si256(high_nibbles(n1), _mm256_and_si256(_mm256_srli_epi16(bits, 2), top))};
        QUIPU_UNROLL for (int i = 0; i < 4; ++i) {
          const int g = 4 * half + i;  // int16 g of each half: scales 2g and 2g + 1
          const __m256i each = _mm256_set1_epi16(static_cast<int16_t>(512 * g + 256 + 2 * g));
          const __m256i products = _mm256_maddubs_epi16(quants[i], load32_bytes(q + 128 * half + 32 * i));
          sum = _mm256_add_epi32(sum, _mm256_madd_epi16(products, _mm256_shuffle_epi8(s, each)));
        }
      }
      sums[b] = sum;
    }
    return block_term(load_halves(p + 208, kBytes), sum_each(sums));
  };
  decode_stream<kBytes>(job, row0, row1, a.units, a.scale, term);
}

void decode_q8_0(const RowsJob& job, int64_t row0, int64_t row1) {
  constexpr int kBytes = 34;
  const Decode32 a = decode_acts_32(job);
  const auto term = [&](const uint8_t* p, int64_t u) {
    __m256i sums[8];
    QUIPU_UNROLL for (int b = 0; b < 8; ++b) {
      // |w| is right as an unsigned byte for w = -128 too, and 2 * 128 * 127 fits into int16.
      const __m256i w = load32_bytes(p + kBytes * b + 2);
      const __m256i products =
          _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(load32_bytes(a.q + 32 * (u + b)), w));
      sums[b] = _mm256_madd_epi16(products, _mm256_set1_epi16(1));
    }
    return block_term(load_halves(p, kBytes), sum_each(sums));
  };
  decode_stream<kBytes>(job, row0, row1, a.units, a.scale, term);
}

// Dot products of the nibbles at p (16 bytes a block) with the activations from unit u on. A vector holds
// blocks i and i + 4. An int16 lane collects at most 16 products of 15 * 127, which fits.
template <int kBytes>
QUIPU_INLINE __m256i nibble_dots(const uint8_t* p, const Decode32& a, int64_t u) {
  __m256i v[4], pair[2];
  QUIPU_UNROLL for (int i = 0; i < 4; ++i) {
    const __m256i w = load_pair(p + kBytes * i, p + kBytes * (i + 4));
    v[i] = _mm256_add_epi16(_mm256_maddubs_epi16(low_nibbles(w), load32_bytes(a.first + 32 * (u + i))),
                            _mm256_maddubs_epi16(high_nibbles(w), load32_bytes(a.second + 32 * (u + i))));
  }
  QUIPU_UNROLL for (int i = 0; i < 2; ++i) pair[i] = _mm256_add_epi16(
      _mm256_unpacklo_epi64(v[2 * i], v[2 * i + 1]), _mm256_unpackhi_epi64(v[2 * i], v[2 * i + 1]));
  const __m256 x = _mm256_castsi256_ps(pair[0]), y = _mm256_castsi256_ps(pair[1]);
  const __m256i sums = _mm256_add_epi16(_mm256_castps_si256(_mm256_shuffle_ps(x, y, 0x88)),
                                        _mm256_castps_si256(_mm256_shuffle_ps(x, y, 0xdd)));
  return _mm256_madd_epi16(sums, _mm256_set1_epi16(1));
}

void decode_q4_0(const RowsJob& job, int64_t row0, int64_t row1) {
  constexpr int kBytes = 18;
  const Decode32 a = decode_acts_32(job);
  const auto term = [&](const uint8_t* p, int64_t u) {
    const __m256i dot = _mm256_add_epi32(nibble_dots<kBytes>(p + 2, a, u), load32_bytes(a.minus8 + u));
    return block_term(load_halves(p, kBytes), dot);
  };
  decode_stream<kBytes>(job, row0, row1, a.units, a.scale, term);
}

void decode_q4_1(const RowsJob& job, int64_t row0, int64_t row1) {
  constexpr int kBytes = 20;
  const Decode32 a = decode_acts_32(job);
  const auto term = [&](const uint8_t* p, int64_t u) {
    __m256 d, m;
    widen_half_pairs(load_dwords(p, kBytes), &d, &m);
    return block_term(d, nibble_dots<kBytes>(p + 4, a, u), m, _mm256_loadu_ps(a.sum + u));
  };
  decode_stream<kBytes>(job, row0, row1, a.units, a.scale, term);
}

}  // namespace
}  // namespace quipu::kernels::avx2
