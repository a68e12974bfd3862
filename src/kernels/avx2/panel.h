// Batches: 16 rows (two vectors of 8 lanes) by up to 4 tokens in registers: 8 int16 sums of products, 2
// vectors of weights, a broadcast activation and its product. The scaled 32-bit sums are in memory.
#pragma once

#include "kernels/avx2/decode.h"

namespace quipu::kernels::avx2 {
namespace {

#include "kernels/panel_prefetch.inc.h"

constexpr int kVectors = 2, kVectorRows = 8, kRows = 16, kTokens = 4;

using Quants = uint8_t[kVectors][kVectorRows][4];  // four neighbouring elements of each row

// 256 elements of 16 rows. q: elements 4s .. 4s+3 of each row, unpacked to bytes without sign.
template <int kGroups, bool kMins>
struct alignas(64) PanelK {
  Quants q[kRun / 4];
  int32_t scale[kGroups][kVectors][kVectorRows];       // int16 pairs, both the scale
  int32_t mins[kMins ? 4 : 1][kVectors][kVectorRows];  // int16 pairs as in Record256::pair_sums
  float d[kVectors][kVectorRows];
  float m[kVectors][kVectorRows];
};
template <int kParts>  // of a quant: Q8_0 is cut into two nibbles
struct alignas(64) Panel32 {
  struct Block {
    Quants q[kParts][8];
    float d[kVectors][kVectorRows];
    float m[kVectors][kVectorRows];
  } block[8];
};
static_assert(sizeof(PanelK<16, false>) <= 24 * 1024 && sizeof(Panel32<2>) <= 24 * 1024,
              "see matmul_scratch_bytes()");

QUIPU_INLINE void store32(void* p, __m256i v) { _mm256_store_si256(static_cast<__m256i*>(p), v); }
QUIPU_INLINE __m256i aligned32(const void* p) { return _mm256_load_si256(static_cast<const __m256i*>(p)); }
QUIPU_INLINE __m256i all_bits(const void* p) { return _mm256_set1_epi32(load_i32(p)); }

// Keeps v in its register: g++ reorders sums of integer vectors otherwise and spills all products first.
#define QUIPU_PIN(v) asm("" : "+x"(v))

// sums[v][t] += products of eight (or kSteps) steps, in int16 lanes. 16 products of 15 * 127 fit, as do 8 of
// a 6-bit quant that starts at -32 times the sum of its activations.
template <int kSteps, int T>
QUIPU_INLINE void dots(__m256i (&sums)[kVectors][T], const Quants* q, const int8_t* acts,
                       size_t record_bytes) {
  QUIPU_UNROLL for (int s = 0; s < kSteps; ++s) {
    __m256i w[kVectors];
    QUIPU_UNROLL for (int v = 0; v < kVectors; ++v) w[v] = aligned32(q[s][v]);
    QUIPU_UNROLL for (int t = 0; t < T; ++t) {
      const __m256i a = all_bits(acts + static_cast<size_t>(t) * record_bytes + 4 * s);
      QUIPU_UNROLL for (int v = 0; v < kVectors; ++v) {
        sums[v][t] = _mm256_add_epi16(sums[v][t], _mm256_maddubs_epi16(w[v], a));
        QUIPU_PIN(sums[v][t]);
      }
    }
  }
}

// The 32-bit sums of a tile, which live in memory: registers are full with int16 sums.
template <int T>
struct Scaled {
  alignas(32) __m256i at[kVectors][T];
  QUIPU_INLINE void add(const __m256i (&sums)[kVectors][T], const __m256i (&scale)[kVectors], bool first) {
    QUIPU_UNROLL for (int v = 0; v < kVectors; ++v) {
      QUIPU_UNROLL for (int t = 0; t < T; ++t) {
        const __m256i x = _mm256_madd_epi16(sums[v][t], scale[v]);
        at[v][t] = first ? x : _mm256_add_epi32(at[v][t], x);
      }
    }
    asm volatile("" : "+m"(at));
  }
};

QUIPU_INLINE void add_term(float* sum, const float* scale, __m256 term) {
  _mm256_store_ps(sum, _mm256_fmadd_ps(_mm256_broadcast_ss(scale), term, _mm256_load_ps(sum)));
}

template <int kGroups, bool kMins, int T>
QUIPU_INLINE void tile_k(const PanelK<kGroups, kMins>& p, const Record256* a, float* out, Prefetch& ahead) {
  constexpr int kGroupSteps = kRun / 4 / kGroups;
  Scaled<T> scaled;
#pragma GCC unroll 1
  for (int g = 0; g < kGroups; ++g) {
    if (kGroups == 8 || g % 2) ahead.step();
    __m256i sums[kVectors][T];
    QUIPU_UNROLL for (int t = 0; t < T; ++t) {
      const __m256i start = kMins ? _mm256_setzero_si256() : all_bits(&a[t].start[g]);
      QUIPU_UNROLL for (int v = 0; v < kVectors; ++v) sums[v][t] = start;
    }
    dots<kGroupSteps, T>(sums, p.q + kGroupSteps * g, a->q + 4 * kGroupSteps * g, sizeof(Record256));
    scaled.add(sums, {aligned32(p.scale[g][0]), aligned32(p.scale[g][1])}, g == 0);
  }
  QUIPU_UNROLL for (int v = 0; v < kVectors; ++v) {
    const __m256 d = _mm256_load_ps(p.d[v]), m = _mm256_load_ps(p.m[v]);
    QUIPU_UNROLL for (int t = 0; t < T; ++t) {
      float* to = out + t * kRows + v * kVectorRows;
      if (!kMins) {
        add_term(to, &a[t].scale, block_term(d, scaled.at[v][t]));
        continue;
      }
      __m256i mins = _mm256_setzero_si256();
      QUIPU_UNROLL for (int i = 0; i < (kMins ? 4 : 0); ++i) mins =
          _mm256_add_epi32(mins, _mm256_madd_epi16(aligned32(p.mins[i][v]), all_bits(&a[t].pair_sums[i])));
      add_term(to, &a[t].scale, block_term(d, scaled.at[v][t], m, mins));
    }
  }
}

struct KernelQ4K {
  using Panel = PanelK<8, true>;
  using Record = Record256;
  static constexpr int kBytes = 144, kElems = 256, kRows = avx2::kRows, kTokens = avx2::kTokens, kSteps = 8;

  static void pack(Panel& p, const uint8_t* const* rows, size_t stride, int64_t) {
    const __m256i byte = _mm256_set1_epi32(255);
    for (int v = 0; v < kVectors; ++v) {
      const uint8_t* w = rows[v];
      const HeaderQ4K h = load_header_q4_k(w, stride);
      _mm256_store_ps(p.d[v], h.d);
      _mm256_store_ps(p.m[v], h.dmin);
      __m256i pairs[4];
      pair_mins(h, pairs);
      QUIPU_UNROLL for (int i = 0; i < 4; ++i) store32(p.mins[i][v], pairs[i]);
      QUIPU_UNROLL for (int g = 0; g < 4; ++g) {
        const __m256i low = _mm256_and_si256(_mm256_srli_epi32(h.scales_0_3, 8 * g), byte);
        const __m256i high = _mm256_and_si256(_mm256_srli_epi32(h.scales_4_7, 8 * g), byte);
        store32(p.scale[g][v], _mm256_or_si256(low, _mm256_slli_epi32(low, 16)));
        store32(p.scale[g + 4][v], _mm256_or_si256(high, _mm256_slli_epi32(high, 16)));
      }
      for (int i = 0; i < 8;
           ++i) {  // 16 bytes: half of the groups 2 * (i / 2) (low nibbles) and the next (high)
        __m256i t[4];
        transpose_dwords(w + 16 + 16 * i, stride, t);
        QUIPU_UNROLL for (int j = 0; j < 4; ++j) {
          const int step = i / 2 * 16 + i % 2 * 4 + j;
          store32(p.q[step][v], low_nibbles(t[j]));
          store32(p.q[step + 8][v], high_nibbles(t[j]));
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
  static constexpr int kBytes = 210, kElems = 256, kRows = avx2::kRows, kTokens = avx2::kTokens, kSteps = 8;

  static void pack(Panel& p, const uint8_t* const* rows, size_t stride, int64_t) {
    const __m256i top = _mm256_set1_epi8(0x30), word = _mm256_set1_epi32(0xffff);
    for (int v = 0; v < kVectors; ++v) {
      const uint8_t* w = rows[v];
      __m256i s[4];
      transpose_dwords(w + 192, stride, s);
      QUIPU_UNROLL for (int i = 0; i < 4; ++i) {
        QUIPU_UNROLL for (int j = 0; j < 4; ++j) {
          const __m256i scale = _mm256_srai_epi32(_mm256_slli_epi32(s[i], 24 - 8 * j), 24);
          store32(p.scale[4 * i + j][v],
                  _mm256_or_si256(_mm256_and_si256(scale, word), _mm256_slli_epi32(scale, 16)));
        }
      }
      _mm256_store_ps(p.d[v], load_halves(w + 208, stride));
      for (int i = 0; i < 4; ++i) {  // half i / 2, 16 of its 32 columns
        const int half = i / 2, column = i % 2 * 16;
        __m256i a[4], b[4], bits[4];
        transpose_dwords(w + 64 * half + column, stride, a);
        transpose_dwords(w + 64 * half + 32 + column, stride, b);
        transpose_dwords(w + 128 + 32 * half + column, stride, bits);
        QUIPU_UNROLL for (int j = 0; j < 4; ++j) {
          const int step = 32 * half + column / 4 + j;
          const auto with = [&](__m256i low, __m256i high) {
            return _mm256_or_si256(low, _mm256_and_si256(high, top));
          };
          store32(p.q[step][v], with(low_nibbles(a[j]), _mm256_slli_epi16(bits[j], 4)));
          store32(p.q[step + 8][v], with(low_nibbles(b[j]), _mm256_slli_epi16(bits[j], 2)));
          store32(p.q[step + 16][v], with(high_nibbles(a[j]), bits[j]));
          store32(p.q[step + 24][v], with(high_nibbles(b[j]), _mm256_srli_epi16(bits[j], 2)));
        }
      }
    }
  }
  template <int T>
  static void tile(const Panel& p, const Record* a, float* sums, int64_t, Prefetch& ahead) {
    tile_k<16, false, T>(p, a, sums, ahead);
  }
};

// A quant of Q8_0 is 16 * (high - 8) + low with nibbles high and low: int16 sums hold either of them for a
// whole block.
template <Format F>
struct Kernel32 {
  static constexpr int kParts = F == kFormatQ8_0 ? 2 : 1;
  using Panel = Panel32<kParts>;
  using Record = Record32;
  static constexpr int kElems = 32, kRows = avx2::kRows, kTokens = avx2::kTokens, kSteps = 1;
  static constexpr int kBytes = F == kFormatQ8_0 ? 34 : F == kFormatQ4_0 ? 18 : 20;

  static void pack(Panel& p, const uint8_t* const* rows, size_t stride, int64_t units) {
    for (int64_t u = 0; u < units; ++u) {
      auto& b = p.block[u];
      for (int v = 0; v < kVectors; ++v) {
        const uint8_t* w = rows[v] + u * kBytes;
        __m256i t[4];
        if constexpr (F == kFormatQ4_1) {
          __m256 d, m;
          widen_half_pairs(load_dwords(w, stride), &d, &m);
          _mm256_store_ps(b.d[v], d);
          _mm256_store_ps(b.m[v], m);
        } else {
          _mm256_store_ps(b.d[v], load_halves(w, stride));
        }
        for (int i = 0; i < kParts; ++i) {
          transpose_dwords(w + kBytes - 16 * kParts + 16 * i, stride, t);
          QUIPU_UNROLL for (int j = 0; j < 4; ++j) {
            if constexpr (F == kFormatQ8_0) {
              const __m256i x = _mm256_xor_si256(t[j], _mm256_set1_epi8(-128));
              store32(b.q[0][4 * i + j][v], low_nibbles(x));
              store32(b.q[kParts - 1][4 * i + j][v], high_nibbles(x));
            } else {
              store32(b.q[0][j][v], low_nibbles(t[j]));
              store32(b.q[0][4 + j][v], high_nibbles(t[j]));
            }
          }
        }
      }
    }
  }

  template <int T>
  static void tile(const Panel& p, const Record* a, float* out, int64_t units, Prefetch& ahead) {
    const __m256i one = _mm256_set1_epi16(1), sixteen = _mm256_set1_epi16(16);
#pragma GCC unroll 1
    for (int64_t u = 0; u < units; ++u) {
      ahead.step();
      const auto& b = p.block[u];
      __m256i sums[kVectors][T];
      QUIPU_UNROLL for (int v = 0; v < kVectors; ++v) QUIPU_UNROLL for (int t = 0; t < T; ++t) sums[v][t] =
          _mm256_setzero_si256();
      dots<8, T>(sums, b.q[0], a->q + 32 * u, sizeof(Record));
      Scaled<T> low;
      if constexpr (kParts == 2) {
        low.add(sums, {one, one}, true);
        QUIPU_UNROLL for (int v = 0; v < kVectors; ++v) QUIPU_UNROLL for (int t = 0; t < T; ++t) sums[v][t] =
            _mm256_setzero_si256();
        dots<8, T>(sums, b.q[1], a->q + 32 * u, sizeof(Record));
      }
      QUIPU_UNROLL for (int v = 0; v < kVectors; ++v) {
        const __m256 d = _mm256_load_ps(b.d[v]);
        QUIPU_UNROLL for (int t = 0; t < T; ++t) {
          __m256i dot = _mm256_madd_epi16(sums[v][t], kParts == 2 ? sixteen : one);
          if constexpr (kParts == 2)
            dot = _mm256_add_epi32(_mm256_add_epi32(dot, low.at[v][t]), all_bits(&a[t].minus128[u]));
          if constexpr (F == kFormatQ4_0) dot = _mm256_add_epi32(dot, all_bits(&a[t].minus8[u]));
          __m256 term;
          if constexpr (F == kFormatQ4_1)
            term = block_term(d, dot, _mm256_load_ps(b.m[v]), _mm256_broadcast_ss(&a[t].sum[u]));
          else
            term = block_term(d, dot);
          add_term(out + t * kRows + v * kVectorRows, &a[t].scale[u], term);
        }
      }
    }
  }
};

#include "kernels/panel_driver.inc.h"

}  // namespace
}  // namespace quipu::kernels::avx2
