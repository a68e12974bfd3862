// One token: the block terms of eight consecutive blocks. See decode_stream().
#pragma once

#include "kernels/avx512/integer_vector.h"

namespace quipu::kernels::avx512 {
namespace {

inline Decode256 decode_acts_256(const RowsJob& job) {
  Carver c{const_cast<std::byte*>(job.acts)};
  return carve_decode_256(c, job.n_cols);
}
inline Decode32 decode_acts_32(const RowsJob& job) {
  Carver c{const_cast<std::byte*>(job.acts)};
  return carve_decode_32(c, job.n_cols);
}

// Four products of a nibble and an activation are at most 4 * 15 * 127 and fit into int16 (four of Q6_K's at
// most 4 * 63 * 127 too), so vpdpwssd with the pair (scale, 0) is a 32-bit multiply-add.
void decode_q4_k(const RowsJob& job, int64_t row0, int64_t row1) {
  constexpr int kBytes = 144;
  const Decode256 a = decode_acts_256(job);
  // Bytes g and g + 2 of a block's eight scales, each as an int32, for the halves of 64 quants.
  const __m512i spread =
      _mm512_inserti64x4(_mm512_set1_epi32(-0x7f7f8000), _mm256_set1_epi32(-0x7f7f7ffe), 1);
  const auto term = [&](const uint8_t* p, int64_t u) {
    // Strictly forward through the weights: the headers of all eight blocks at once come last, when they are
    // in L1.
    const int8_t* q = a.q_paired + 256 * u;
    const __m512i zero = _mm512_setzero_si512();
    __m512i sums[8];
    QUIPU_UNROLL for (int b = 0; b < 8; ++b) {
      const __m512i s = _mm512_set1_epi64(scales_q4_k(p + kBytes * b));
      const uint8_t* w = p + kBytes * b + 16;
      __m512i even = zero, odd = zero;
      QUIPU_UNROLL for (int i = 0; i < 2; ++i) {
        const __m512i nibbles = load64_bytes(w + 64 * i);
        const __m512i low =
            _mm512_dpbusd_epi32(zero, low_nibbles(nibbles), load64_bytes(q + 256 * b + 128 * i));
        const __m512i high =
            _mm512_dpbusd_epi32(zero, high_nibbles(nibbles), load64_bytes(q + 256 * b + 128 * i + 64));
        even = _mm512_dpwssd_epi32(
            even, low, _mm512_shuffle_epi8(s, _mm512_add_epi32(spread, _mm512_set1_epi32(4 * i))));
        odd = _mm512_dpwssd_epi32(
            odd, high, _mm512_shuffle_epi8(s, _mm512_add_epi32(spread, _mm512_set1_epi32(4 * i + 1))));
      }
      sums[b] = _mm512_add_epi32(even, odd);
    }
    const HeaderQ4K h = load_header_q4_k(p, kBytes);
    __m256i pairs[4];
    pair_mins(h, pairs);
    __m256i mins = _mm256_madd_epi16(pairs[0], load32_bytes(a.pair_sums + u));
    QUIPU_UNROLL for (int i = 1; i < 4; ++i) mins =
        _mm256_dpwssd_epi32(mins, pairs[i], load32_bytes(a.pair_sums + i * a.entries + u));
    return block_term(h.d, sum_each(sums), h.dmin, mins);
  };
  decode_stream<kBytes>(job, row0, row1, a.units, a.scale, term);
}

void decode_q6_k(const RowsJob& job, int64_t row0, int64_t row1) {
  constexpr int kBytes = 210;
  const Decode256 a = decode_acts_256(job);
  const __m512i top = _mm512_set1_epi8(0x30), zero = _mm512_setzero_si512();
  const __m512i shifts = _mm512_setr_epi64(0, 0, 0, 0, 2, 2, 2, 2);
  const __m512i four_each = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
  const auto term = [&](const uint8_t* p, int64_t u) {
    const int8_t* q = a.q + 256 * u;
    __m512i sums[8];
    QUIPU_UNROLL for (int b = 0; b < 8; ++b) {
      const uint8_t* w = p + kBytes * b;
      const __m128i scale_bytes = load16_bytes(w + 192);
      const __m512i scales = _mm512_and_si512(_mm512_cvtepi8_epi32(scale_bytes), _mm512_set1_epi32(0xffff));
      // The quants are stored with 32 added: -32 * scale * sum of 16, for all groups.
      const __m256i offset = _mm256_slli_epi32(
          _mm256_madd_epi16(_mm256_cvtepi8_epi16(scale_bytes), load32_bytes(a.minus_sums16 + 16 * (u + b))),
          5);
      __m512i sum[2] = {_mm512_zextsi256_si512(offset), zero};
      QUIPU_UNROLL for (int half = 0; half < 2; ++half) {
        const __m512i nibbles = load64_bytes(w + 64 * half);
        const __m512i bits =
            _mm512_srlv_epi64(_mm512_broadcast_i64x4(load32_bytes(w + 128 + 32 * half)), shifts);
        const __m512i low = or_and(low_nibbles(nibbles), _mm512_slli_epi16(bits, 4), top);
        const __m512i high = or_and(high_nibbles(nibbles), bits, top);
        const int8_t* act = q + 256 * b + 128 * half;
        sum[0] = _mm512_dpwssd_epi32(
            sum[0], _mm512_dpbusd_epi32(zero, low, load64_bytes(act)),
            _mm512_permutexvar_epi32(_mm512_add_epi32(four_each, _mm512_set1_epi32(8 * half)), scales));
        sum[1] = _mm512_dpwssd_epi32(
            sum[1], _mm512_dpbusd_epi32(zero, high, load64_bytes(act + 64)),
            _mm512_permutexvar_epi32(_mm512_add_epi32(four_each, _mm512_set1_epi32(8 * half + 4)), scales));
      }
      sums[b] = _mm512_add_epi32(sum[0], sum[1]);
    }
    return block_term(load_halves(p + 208, kBytes), sum_each(sums));
  };
  decode_stream<kBytes>(job, row0, row1, a.units, a.scale, term);
}

void decode_q8_0(const RowsJob& job, int64_t row0, int64_t row1) {
  constexpr int kBytes = 34;
  const Decode32 a = decode_acts_32(job);
  const auto term = [&](const uint8_t* p, int64_t u) {
    const __m256i flip = _mm256_set1_epi8(-128);
    __m256i sums[8];
    QUIPU_UNROLL for (int b = 0; b < 8; ++b) sums[b] =
        _mm256_dpbusd_epi32(_mm256_setzero_si256(), _mm256_xor_si256(load32_bytes(p + kBytes * b + 2), flip),
                            load32_bytes(a.q + 32 * (u + b)));
    const __m256i dot = _mm256_add_epi32(sum_each(sums), load32_bytes(a.minus128 + u));
    return block_term(load_halves(p, kBytes), dot);
  };
  decode_stream<kBytes>(job, row0, row1, a.units, a.scale, term);
}

// Dot products of the nibbles at p (16 bytes a block) with the activations from unit u on: two blocks fill 64
// bytes, the low nibbles of a block being its first half.
template <int kBytes>
QUIPU_INLINE __m256i nibble_dots(const uint8_t* p, const int8_t* q) {
  const __m512i shifts = _mm512_setr_epi64(0, 0, 0x0004000400040004, 0x0004000400040004, 0, 0,
                                           0x0004000400040004, 0x0004000400040004);
  __m512i sums[4];
  QUIPU_UNROLL for (int i = 0; i < 4; ++i) {
    __m512i w = _mm512_broadcast_i32x4(load16_bytes(p + 2 * i * kBytes));
    w = _mm512_mask_broadcast_i32x4(w, 0xff00, load16_bytes(p + (2 * i + 1) * kBytes));
    sums[i] = _mm512_dpbusd_epi32(_mm512_setzero_si512(), low_nibbles(_mm512_srlv_epi16(w, shifts)),
                                  load64_bytes(q + 64 * i));
  }
  return sum_each_half(sums);
}

void decode_q4_0(const RowsJob& job, int64_t row0, int64_t row1) {
  constexpr int kBytes = 18;
  const Decode32 a = decode_acts_32(job);
  const auto term = [&](const uint8_t* p, int64_t u) {
    const __m256i dot =
        _mm256_add_epi32(nibble_dots<kBytes>(p + 2, a.q + 32 * u), load32_bytes(a.minus8 + u));
    return block_term(load_halves(p, kBytes), dot);
  };
  decode_stream<kBytes>(job, row0, row1, a.units, a.scale, term);
}

void decode_q4_1(const RowsJob& job, int64_t row0, int64_t row1) {
  constexpr int kBytes = 20;
  const Decode32 a = decode_acts_32(job);
  // The headers are dwords 0, 5, .. 35 of eight blocks.
  const __m512i first = _mm512_setr_epi32(0, 5, 10, 15, 20, 25, 30, 0, 0, 0, 0, 0, 0, 0, 0, 0);
  const auto term = [&](const uint8_t* p, int64_t u) {
    const __m512i heads = _mm512_mask_set1_epi32(
        _mm512_permutex2var_epi32(load64_bytes(p), first, load64_bytes(p + 64)), 0x80, load_i32(p + 140));
    __m256 d, m;
    widen_half_pairs(_mm512_castsi512_si256(heads), &d, &m);
    return block_term(d, nibble_dots<kBytes>(p + 4, a.q + 32 * u), m, _mm256_loadu_ps(a.sum + u));
  };
  decode_stream<kBytes>(job, row0, row1, a.units, a.scale, term);
}

}  // namespace
}  // namespace quipu::kernels::avx512
