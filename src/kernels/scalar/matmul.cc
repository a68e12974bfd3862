// The canonical order, spelled out. The other instruction sets are tested against this file, and leave
// matrices of very few rows to it.
#include <cfloat>
#include <cmath>
#include <cstring>

#include "kernels/matmul_impl.h"
#include "quant/block_layout.h"
#include "quant/codec.h"

namespace quipu::kernels::scalar {

namespace {

constexpr bool kPairStart = false;

// NaN counts as 0 and infinities as the largest number, so that a bad activation stays in its own place.
float tame(float x) {
  if (std::isnan(x)) return 0.0f;
  return std::fmin(std::fmax(x, -FLT_MAX), FLT_MAX);
}

float quantise_unit(const float* x, int n, int8_t* q, int32_t* pairs) {
  float largest = 0;
  for (int i = 0; i < n; ++i) largest = std::fmax(largest, std::fabs(tame(x[i])));
  // A scale below the normal numbers has no usable reciprocal: such a block is zero.
  float scale = largest / 127.0f, inverse = 0;
  if (scale >= FLT_MIN)
    inverse = 127.0f / largest;  // rounded once, which 1 / scale is not
  else
    scale = 0;
  for (int i = 0; i < n; ++i) q[i] = static_cast<int8_t>(std::lrintf(tame(x[i]) * inverse));
  for (int g = 0; g < n / 16; ++g) {
    int sum[2] = {};
    for (int i = 0; i < 16; ++i) sum[i / 2 % 2] += q[16 * g + i];
    pairs[g] =
        static_cast<int32_t>((static_cast<uint32_t>(sum[0]) & 0xffff) | static_cast<uint32_t>(sum[1]) << 16);
  }
  return scale;
}

#include "kernels/quantise.inc.h"

uint16_t load16(const uint8_t* p) {
  uint16_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

// A block as integers: q, one scale (and one minimum) per group, and the block's own two factors.
struct Block {
  int q[256];
  int scale[16] = {1}, min[16] = {};
  float d, m = 0;
};

template <Format F>
struct Traits;
template <>
struct Traits<kFormatQ4_0> {
  static constexpr int kElems = 32, kBytes = 18, kGroup = 32;
  static constexpr bool kMins = false;
  static void unpack(const uint8_t* p, Block& b) {
    b.d = half_to_float(load16(p));
    for (int i = 0; i < 16; ++i) {
      b.q[i] = (p[2 + i] & 15) - 8;
      b.q[i + 16] = (p[2 + i] >> 4) - 8;
    }
  }
};
template <>
struct Traits<kFormatQ4_1> {
  static constexpr int kElems = 32, kBytes = 20, kGroup = 32;
  static constexpr bool kMins = true;
  static void unpack(const uint8_t* p, Block& b) {
    b.d = half_to_float(load16(p));
    b.m = -half_to_float(load16(p + 2));
    b.min[0] = 1;
    for (int i = 0; i < 16; ++i) {
      b.q[i] = p[4 + i] & 15;
      b.q[i + 16] = p[4 + i] >> 4;
    }
  }
};
template <>
struct Traits<kFormatQ8_0> {
  static constexpr int kElems = 32, kBytes = 34, kGroup = 32;
  static constexpr bool kMins = false;
  static void unpack(const uint8_t* p, Block& b) {
    b.d = half_to_float(load16(p));
    for (int i = 0; i < 32; ++i) b.q[i] = static_cast<int8_t>(p[2 + i]);
  }
};
template <>
struct Traits<kFormatQ4_K> {
  static constexpr int kElems = 256, kBytes = 144, kGroup = 32;
  static constexpr bool kMins = true;
  static void unpack(const uint8_t* p, Block& b) {
    b.d = half_to_float(load16(p));
    b.m = half_to_float(load16(p + 2));
    for (int g = 0; g < 8; ++g) {
      const ScaleMin s = q4_k_scale(p + 4, g);
      b.scale[g] = s.scale;
      b.min[g] = s.min;
    }
    for (int i = 0; i < 256; ++i) {
      const int byte = p[16 + i / 64 * 32 + i % 32];
      b.q[i] = i / 32 % 2 ? byte >> 4 : byte & 15;
    }
  }
};
template <>
struct Traits<kFormatQ6_K> {
  static constexpr int kElems = 256, kBytes = 210, kGroup = 16;
  static constexpr bool kMins = false;
  static void unpack(const uint8_t* p, Block& b) {
    b.d = half_to_float(load16(p + 208));
    for (int g = 0; g < 16; ++g) b.scale[g] = static_cast<int8_t>(p[192 + g]);
    for (int i = 0; i < 256; ++i) {
      const int half = i / 128, quarter = i % 128 / 32, l = i % 32;
      const int byte = p[64 * half + quarter % 2 * 32 + l];
      const int low = quarter / 2 ? byte >> 4 : byte & 15, high = p[128 + 32 * half + l] >> 2 * quarter & 3;
      b.q[i] = (low | high << 4) - 32;
    }
  }
};

template <Format F>
float block_term(const Block& b, const int8_t* a) {
  using T = Traits<F>;
  int32_t dot = 0, mins = 0;
  for (int g = 0; g < T::kElems / T::kGroup; ++g) {
    int products = 0, sum = 0;
    for (int i = g * T::kGroup; i < (g + 1) * T::kGroup; ++i) {
      products += b.q[i] * a[i];
      sum += a[i];
    }
    dot += b.scale[g] * products;
    if (T::kMins) mins += b.min[g] * sum;
  }
  if (!T::kMins) return b.d * static_cast<float>(dot);
  const float min_part = b.m * static_cast<float>(mins);
  return std::fma(b.d, static_cast<float>(dot), -min_part);
}

struct Act {
  const int8_t* q;
  float scale;
};

// Unit u of token t of prepared activations.
template <int kElems>
Act act_of(const RowsJob& j, int64_t u, int64_t t) {
  if constexpr (kElems == 256) {
    if (j.n_tokens > 1) {
      const auto& r = reinterpret_cast<const Record256*>(j.acts)[u * j.n_tokens + t];
      return {r.q, r.scale};
    }
    Carver carver{const_cast<std::byte*>(j.acts)};
    const Decode256 d = carve_decode_256(carver, j.n_cols);
    return {d.q + 256 * u, d.scale[u]};
  } else {
    if (j.n_tokens > 1) {
      const auto& r = reinterpret_cast<const Record32*>(j.acts)[u / 8 * j.n_tokens + t];
      return {r.q + u % 8 * 32, r.scale[u % 8]};
    }
    Carver carver{const_cast<std::byte*>(j.acts)};
    const Decode32 d = carve_decode_32(carver, j.n_cols);
    return {d.q + 32 * u, d.scale[u]};
  }
}

template <Format F>
void quantised_rows(const RowsJob& j, int64_t row0, int64_t row1) {
  using T = Traits<F>;
  Block b;
  for (int64_t r = row0; r < row1; ++r) {
    for (int64_t t = 0; t < j.n_tokens; ++t) j.y[t * j.ldy + r] = 0.0f;
    for (int64_t u = 0; u < j.n_cols / T::kElems; ++u) {
      T::unpack(j.w + static_cast<size_t>(r) * j.row_bytes + static_cast<size_t>(u) * T::kBytes, b);
      for (int64_t t = 0; t < j.n_tokens; ++t) {
        const Act a = act_of<T::kElems>(j, u, t);
        float& y = j.y[t * j.ldy + r];
        y = std::fma(a.scale, block_term<F>(b, a.q), y);
      }
    }
  }
}

float tree(float* lane) {
  for (int half = kLanes / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) lane[i] += lane[i + half];
  return lane[0];
}

// A row that ends inside 32 lanes goes on with zeros.
template <class Weight>
float float_dot(Weight weight, const float* x, int64_t n) {
  float lane[kLanes] = {};
  for (int64_t k = 0; k < padded_cols(n); ++k)
    lane[k % kLanes] =
        k < n ? std::fma(weight(k), x[k], lane[k % kLanes]) : std::fma(0.0f, 0.0f, lane[k % kLanes]);
  return tree(lane);
}

template <Format F>
void float_rows(const RowsJob& j, int64_t row0, int64_t row1) {
  const auto* x = reinterpret_cast<const float*>(j.acts);
  for (int64_t r = row0; r < row1; ++r) {
    const uint8_t* w = j.w + static_cast<size_t>(r) * j.row_bytes;
    const auto weight = [w](int64_t k) {
      if constexpr (F == kFormatF32) {
        float v;
        std::memcpy(&v, w + 4 * k, sizeof v);
        return v;
      } else {
        return F == kFormatF16 ? half_to_float(load16(w + 2 * k)) : bf16_to_float(load16(w + 2 * k));
      }
    };
    for (int64_t t = 0; t < j.n_tokens; ++t)
      j.y[t * j.ldy + r] = float_dot(weight, x + t * padded_cols(j.n_cols), j.n_cols);
  }
}

float dot(const float* a, const float* b, int64_t n) {
  return float_dot([a](int64_t k) { return a[k]; }, b, n);
}

}  // namespace

#define QUIPU_FUNCTIONS                                                                   \
  {float_rows<kFormatF32>,      float_rows<kFormatF16>,      float_rows<kFormatBF16>,     \
   quantised_rows<kFormatQ4_0>, quantised_rows<kFormatQ4_1>, quantised_rows<kFormatQ8_0>, \
   quantised_rows<kFormatQ4_K>, quantised_rows<kFormatQ6_K>}
const MatmulTable kMatmul = {quantise_32, quantise_256, QUIPU_FUNCTIONS, QUIPU_FUNCTIONS, dot};
#undef QUIPU_FUNCTIONS

}  // namespace quipu::kernels::scalar
