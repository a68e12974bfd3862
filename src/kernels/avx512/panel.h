// Batches: 32 rows (two vectors of 16 lanes) by up to 6 tokens in registers: 12 sums of products and as many
// scaled ones, 2 vectors of weights, broadcast activations.
#pragma once

#include "kernels/avx512/integer_vector.h"

namespace quipu::kernels::avx512 {
namespace {

#include "kernels/panel_prefetch.inc.h"

constexpr int kVectors = 2, kVectorRows = 16, kRows = 32, kTokens = 6;

// 256 elements of 32 rows. q: elements 4s .. 4s+3 of each row, unpacked to bytes without sign.
template <int kGroups, bool kMins>
struct alignas(64) PanelK {
  uint8_t q[kRun / 4][kVectors][kVectorRows][4];
  int32_t scale[kGroups][kVectors][kVectorRows];
  int32_t mins[kMins ? 4 : 1][kVectors][kVectorRows];  // int16 pairs as in Record256::pair_sums
  float d[kVectors][kVectorRows];
  float m[kVectors][kVectorRows];
};
struct alignas(64) Panel32 {
  struct Block {
    uint8_t q[8][kVectors][kVectorRows][4];
    float d[kVectors][kVectorRows];
    float m[kVectors][kVectorRows];
  } block[8];
};
static_assert(sizeof(PanelK<16, false>) <= 24 * 1024 && sizeof(Panel32) <= 24 * 1024,
              "see matmul_scratch_bytes()");

QUIPU_INLINE void store64(void* p, __m512i v) { _mm512_store_si512(p, v); }

// 16 bytes of rows 0, 4, 8 and 12 after p. Masked broadcasts from memory need no shuffle.
QUIPU_INLINE __m512i load_every_fourth(const uint8_t* p, size_t stride) {
  __m512i v = _mm512_broadcast_i32x4(load16_bytes(p));
  v = _mm512_mask_broadcast_i32x4(v, 0x00f0, load16_bytes(p + 4 * stride));
  v = _mm512_mask_broadcast_i32x4(v, 0x0f00, load16_bytes(p + 8 * stride));
  return _mm512_mask_broadcast_i32x4(v, 0xf000, load16_bytes(p + 12 * stride));
}
// 16 bytes of 16 rows; out[i] holds dword i of all of them.
QUIPU_INLINE void transpose_rows(const uint8_t* p, size_t stride, __m512i* out) {
  const __m512i a = load_every_fourth(p, stride), b = load_every_fourth(p + stride, stride);
  const __m512i c = load_every_fourth(p + 2 * stride, stride), d = load_every_fourth(p + 3 * stride, stride);
  const __m512i ab0 = _mm512_unpacklo_epi32(a, b), ab1 = _mm512_unpackhi_epi32(a, b);
  const __m512i cd0 = _mm512_unpacklo_epi32(c, d), cd1 = _mm512_unpackhi_epi32(c, d);
  out[0] = _mm512_unpacklo_epi64(ab0, cd0);
  out[1] = _mm512_unpackhi_epi64(ab0, cd0);
  out[2] = _mm512_unpacklo_epi64(ab1, cd1);
  out[3] = _mm512_unpackhi_epi64(ab1, cd1);
}
QUIPU_INLINE void store_halves(float* to, const uint8_t* p, size_t stride) {
  _mm256_store_ps(to, load_halves(p, stride));
  _mm256_store_ps(to + 8, load_halves(p + 8 * stride, stride));
}
QUIPU_INLINE void store_half_pairs(float* low, float* high, __m512i v) {
  _mm512_store_ps(low, _mm512_cvtph_ps(_mm512_cvtepi32_epi16(v)));
  _mm512_store_ps(high, _mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_srli_epi32(v, 16))));
}

// sums[v][t] += dot products of steps [first, first + kSteps).
template <int kSteps, int T>
QUIPU_INLINE void dots(__m512i (&sums)[kVectors][T], const uint8_t (*q)[kVectors][kVectorRows][4],
                       const int8_t* acts, size_t record_bytes) {
  QUIPU_UNROLL for (int s = 0; s < kSteps; ++s) {
    __m512i w[kVectors];
    QUIPU_UNROLL for (int v = 0; v < kVectors; ++v) w[v] = _mm512_load_si512(q[s][v]);
    QUIPU_UNROLL for (int t = 0; t < T; ++t) {
      const __m512i a = all_bits(acts + static_cast<size_t>(t) * record_bytes + 4 * s);
      QUIPU_UNROLL for (int v = 0; v < kVectors; ++v) sums[v][t] = _mm512_dpbusd_epi32(sums[v][t], w[v], a);
    }
  }
}

QUIPU_INLINE __m512 add_term(__m512 sum, float scale, __m512 d, __m512i dot) {
  return _mm512_fmadd_ps(_mm512_set1_ps(scale), _mm512_mul_ps(d, _mm512_cvtepi32_ps(dot)), sum);
}

// The tile of a K-quant; kOffset: group sums start at Record256::start.
template <int kGroups, bool kMins, int T>
QUIPU_INLINE void tile_k(const PanelK<kGroups, kMins>& p, const Record256* a, float* out, Prefetch& ahead) {
  constexpr int kGroupSteps = kRun / 4 / kGroups;
  __m512i scaled[kVectors][T];
  QUIPU_UNROLL for (int v = 0; v < kVectors; ++v) QUIPU_UNROLL for (int t = 0; t < T; ++t) scaled[v][t] =
      _mm512_setzero_si512();
#pragma GCC unroll 1
  for (int g = 0; g < kGroups; ++g) {
    if (kGroups == 8 || g % 2) ahead.step();
    __m512i sums[kVectors][T];
    QUIPU_UNROLL for (int t = 0; t < T; ++t) {
      const __m512i start = kMins ? _mm512_setzero_si512() : all_bits(&a[t].start[g]);
      QUIPU_UNROLL for (int v = 0; v < kVectors; ++v) sums[v][t] = start;
    }
    dots<kGroupSteps, T>(sums, p.q + kGroupSteps * g, a->q + 4 * kGroupSteps * g, sizeof(Record256));
    QUIPU_UNROLL for (int v = 0; v < kVectors; ++v) {
      const __m512i scale = _mm512_load_si512(p.scale[g][v]);
      QUIPU_UNROLL for (int t = 0; t < T; ++t) scaled[v][t] =
          _mm512_add_epi32(scaled[v][t], _mm512_mullo_epi32(sums[v][t], scale));
    }
  }
  QUIPU_UNROLL for (int v = 0; v < kVectors; ++v) {
    const __m512 d = _mm512_load_ps(p.d[v]), m = _mm512_load_ps(p.m[v]);
    QUIPU_UNROLL for (int t = 0; t < T; ++t) {
      float* to = out + t * kRows + v * kVectorRows;
      if (!kMins) {
        _mm512_store_ps(to, add_term(_mm512_load_ps(to), a[t].scale, d, scaled[v][t]));
        continue;
      }
      __m512i mins = _mm512_setzero_si512();
      QUIPU_UNROLL for (int i = 0; i < (kMins ? 4 : 0); ++i) mins =
          _mm512_dpwssd_epi32(mins, _mm512_load_si512(p.mins[i][v]), all_bits(&a[t].pair_sums[i]));
      const __m512 term =
          _mm512_fmsub_ps(d, _mm512_cvtepi32_ps(scaled[v][t]), _mm512_mul_ps(m, _mm512_cvtepi32_ps(mins)));
      _mm512_store_ps(to, _mm512_fmadd_ps(_mm512_set1_ps(a[t].scale), term, _mm512_load_ps(to)));
    }
  }
}

struct KernelQ4K {
  using Panel = PanelK<8, true>;
  using Record = Record256;
  static constexpr int kBytes = 144, kElems = 256, kRows = avx512::kRows, kTokens = avx512::kTokens,
                       kSteps = 8;

  static void pack(Panel& p, const uint8_t* const* rows, size_t stride, int64_t) {
    const __m512i six = _mm512_set1_epi8(63), top = _mm512_set1_epi8(0x30);
    const __m512i even = _mm512_set1_epi32(0x00ff00ff), byte = _mm512_set1_epi32(255);
    for (int v = 0; v < kVectors; ++v) {
      const uint8_t* w = rows[v];
      __m512i h[4];
      transpose_rows(w, stride, h);
      store_half_pairs(p.d[v], p.m[v], h[0]);
      const __m512i scale_0_3 = _mm512_and_si512(h[1], six), min_0_3 = _mm512_and_si512(h[2], six);
      const __m512i scale_4_7 = or_and(low_nibbles(h[3]), _mm512_srli_epi16(h[1], 2), top);
      const __m512i min_4_7 = or_and(high_nibbles(h[3]), _mm512_srli_epi16(h[2], 2), top);
      store64(p.mins[0][v], _mm512_and_si512(min_0_3, even));
      store64(p.mins[1][v], _mm512_and_si512(_mm512_srli_epi16(min_0_3, 8), even));
      store64(p.mins[2][v], _mm512_and_si512(min_4_7, even));
      store64(p.mins[3][v], _mm512_and_si512(_mm512_srli_epi16(min_4_7, 8), even));
      QUIPU_UNROLL for (int g = 0; g < 4; ++g) {
        store64(p.scale[g][v], _mm512_and_si512(_mm512_srli_epi32(scale_0_3, 8 * g), byte));
        store64(p.scale[g + 4][v], _mm512_and_si512(_mm512_srli_epi32(scale_4_7, 8 * g), byte));
      }
      for (int i = 0; i < 8;
           ++i) {  // 16 bytes: half of the groups 2 * (i / 2) (low nibbles) and the next (high)
        __m512i t[4];
        transpose_rows(w + 16 + 16 * i, stride, t);
        QUIPU_UNROLL for (int j = 0; j < 4; ++j) {
          const int step = i / 2 * 16 + i % 2 * 4 + j;
          store64(p.q[step][v], low_nibbles(t[j]));
          store64(p.q[step + 8][v], high_nibbles(t[j]));
        }
      }
    }
  }
  template <int T>
  static void tile(const Panel& p, const Record* a, float* sums, int64_t, Prefetch& ahead) {
    tile_k<8, true, T>(p, a, sums, ahead);
  }
};

struct KernelQ6K {
  using Panel = PanelK<16, false>;
  using Record = Record256;
  static constexpr int kBytes = 210, kElems = 256, kRows = avx512::kRows, kTokens = avx512::kTokens,
                       kSteps = 8;

  static void pack(Panel& p, const uint8_t* const* rows, size_t stride, int64_t) {
    const __m512i top = _mm512_set1_epi8(0x30);
    for (int v = 0; v < kVectors; ++v) {
      const uint8_t* w = rows[v];
      __m512i s[4];
      transpose_rows(w + 192, stride, s);
      QUIPU_UNROLL for (int i = 0; i < 4; ++i) {
        QUIPU_UNROLL for (int j = 0; j < 4; ++j)
            store64(p.scale[4 * i + j][v], _mm512_srai_epi32(_mm512_slli_epi32(s[i], 24 - 8 * j), 24));
      }
      store_halves(p.d[v], w + 208, stride);
      for (int i = 0; i < 4; ++i) {  // half i / 2, 16 of its 32 columns
        const int half = i / 2, column = i % 2 * 16;
        __m512i a[4], b[4], bits[4];
        transpose_rows(w + 64 * half + column, stride, a);
        transpose_rows(w + 64 * half + 32 + column, stride, b);
        transpose_rows(w + 128 + 32 * half + column, stride, bits);
        QUIPU_UNROLL for (int j = 0; j < 4; ++j) {
          const int step = 32 * half + column / 4 + j;
          store64(p.q[step][v], or_and(low_nibbles(a[j]), _mm512_slli_epi16(bits[j], 4), top));
          store64(p.q[step + 8][v], or_and(low_nibbles(b[j]), _mm512_slli_epi16(bits[j], 2), top));
          store64(p.q[step + 16][v], or_and(high_nibbles(a[j]), bits[j], top));
          store64(p.q[step + 24][v], or_and(high_nibbles(b[j]), _mm512_srli_epi16(bits[j], 2), top));
        }
      }
    }
  }
  template <int T>
  static void tile(const Panel& p, const Record* a, float* sums, int64_t, Prefetch& ahead) {
    tile_k<16, false, T>(p, a, sums, ahead);
  }
};

template <Format F>
struct Kernel32 {
  using Panel = Panel32;
  using Record = Record32;
  static constexpr int kElems = 32, kRows = avx512::kRows, kTokens = avx512::kTokens, kSteps = 1;
  static constexpr int kBytes = F == kFormatQ8_0 ? 34 : F == kFormatQ4_0 ? 18 : 20;

  static void pack(Panel& p, const uint8_t* const* rows, size_t stride, int64_t units) {
    for (int64_t u = 0; u < units; ++u) {
      Panel32::Block& b = p.block[u];
      for (int v = 0; v < kVectors; ++v) {
        const uint8_t* w = rows[v] + u * kBytes;
        __m512i t[4];
        if constexpr (F == kFormatQ8_0) {
          store_halves(b.d[v], w, stride);
          for (int i = 0; i < 2; ++i) {
            transpose_rows(w + 2 + 16 * i, stride, t);
            QUIPU_UNROLL for (int j = 0; j < 4; ++j)
                store64(b.q[4 * i + j][v], _mm512_xor_si512(t[j], _mm512_set1_epi8(-128)));
          }
          continue;
        }
        if constexpr (F == kFormatQ4_1) {
          const __m512i heads = _mm512_inserti64x4(_mm512_castsi256_si512(load_dwords(w, stride)),
                                                   load_dwords(w + 8 * stride, stride), 1);
          store_half_pairs(b.d[v], b.m[v], heads);
        } else {
          store_halves(b.d[v], w, stride);
        }
        transpose_rows(w + kBytes - 16, stride, t);
        QUIPU_UNROLL for (int j = 0; j < 4; ++j) {
          store64(b.q[j][v], low_nibbles(t[j]));
          store64(b.q[4 + j][v], high_nibbles(t[j]));
        }
      }
    }
  }

  template <int T>
  static void tile(const Panel& p, const Record* a, float* out, int64_t units, Prefetch& ahead) {
    __m512 total[kVectors][T];
    QUIPU_UNROLL for (int v = 0; v < kVectors; ++v) QUIPU_UNROLL for (int t = 0; t < T; ++t) total[v][t] =
        _mm512_load_ps(out + t * kRows + v * kVectorRows);
#pragma GCC unroll 1
    for (int64_t u = 0; u < units; ++u) {
      ahead.step();
      const Panel32::Block& b = p.block[u];
      __m512i sums[kVectors][T];
      QUIPU_UNROLL for (int t = 0; t < T; ++t) {
        const __m512i start = F == kFormatQ8_0   ? all_bits(&a[t].minus128[u])
                              : F == kFormatQ4_0 ? all_bits(&a[t].minus8[u])
                                                 : _mm512_setzero_si512();
        QUIPU_UNROLL for (int v = 0; v < kVectors; ++v) sums[v][t] = start;
      }
      dots<8, T>(sums, b.q, a->q + 32 * u, sizeof(Record));
      QUIPU_UNROLL for (int v = 0; v < kVectors; ++v) {
        const __m512 d = _mm512_load_ps(b.d[v]);
        QUIPU_UNROLL for (int t = 0; t < T; ++t) {
          if constexpr (F == kFormatQ4_1) {
            const __m512 min_part = _mm512_mul_ps(_mm512_load_ps(b.m[v]), _mm512_set1_ps(a[t].sum[u]));
            const __m512 term = _mm512_fmadd_ps(d, _mm512_cvtepi32_ps(sums[v][t]), min_part);
            total[v][t] = _mm512_fmadd_ps(_mm512_set1_ps(a[t].scale[u]), term, total[v][t]);
          } else {
            total[v][t] = add_term(total[v][t], a[t].scale[u], d, sums[v][t]);
          }
        }
      }
    }
    QUIPU_UNROLL for (int v = 0; v < kVectors; ++v) QUIPU_UNROLL for (int t = 0; t < T; ++t)
        _mm512_store_ps(out + t * kRows + v * kVectorRows, total[v][t]);
  }
};

#include "kernels/panel_driver.inc.h"

}  // namespace
}  // namespace quipu::kernels::avx512
