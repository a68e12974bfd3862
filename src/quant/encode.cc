// The reference encoders without an importance matrix. The order of every rounding matters for equal bytes:
// products are taken from left to right, sums in rising index, nothing is fused.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "quant/codec.h"

namespace quipu {

namespace {

void store16(uint8_t* p, uint16_t v) { std::memcpy(p, &v, sizeof v); }

// Nearest integer, ties to even, by adding 1.5 * 2^23: exact for |x| < 2^22. Beyond that, where an inverse
// scale has overflowed, files in the field hold what this sum's bits say, and so do ours.
int nearest(float x) { return (std::bit_cast<int>(x + 12582912.0f) & 0x7fffff) - 0x400000; }

// Towards zero. What no int holds (an inverse scale overflowed) becomes 0, the low byte of what the processor
// answers.
int truncated(float x) { return std::fabs(x) < 0x1p31f ? static_cast<int>(x) : 0; }

// The signed value of largest magnitude, the first of equals.
float signed_max(const float* x, int n) {
  float max = 0, amax = 0;
  for (int i = 0; i < n; ++i)
    if (std::fabs(x[i]) > amax) amax = std::fabs(x[i]), max = x[i];
  return max;
}

void encode_q4_0(const float* x, uint8_t* b) {
  const float d = signed_max(x, 32) / -8.0f, id = d != 0 ? 1.0f / d : 0.0f;
  store16(b, float_to_half(d));
  const auto q = [&](int i) { return static_cast<uint8_t>(std::clamp(truncated(x[i] * id + 8.5f), 0, 15)); };
  for (int j = 0; j < 16; ++j) b[2 + j] = static_cast<uint8_t>(q(j) | q(j + 16) << 4);
}

void encode_q4_1(const float* x, uint8_t* b) {
  float lo = x[0], hi = x[0];
  for (int i = 1; i < 32; ++i) lo = std::min(lo, x[i]), hi = std::max(hi, x[i]);
  const float d = (hi - lo) / 15.0f, id = d != 0 ? 1.0f / d : 0.0f;
  store16(b, float_to_half(d));
  store16(b + 2, float_to_half(lo));
  const auto q = [&](int i) {
    return static_cast<uint8_t>(std::clamp(truncated((x[i] - lo) * id + 0.5f), 0, 15));
  };
  for (int j = 0; j < 16; ++j) b[4 + j] = static_cast<uint8_t>(q(j) | q(j + 16) << 4);
}

void encode_q8_0(const float* x, uint8_t* b) {
  float amax = 0;
  for (int i = 0; i < 32; ++i) amax = std::max(amax, std::fabs(x[i]));
  const float d = amax / 127.0f, id = d != 0 ? 1.0f / d : 0.0f;
  store16(b, float_to_half(d));
  for (int i = 0; i < 32; ++i) b[2 + i] = static_cast<uint8_t>(truncated(std::round(x[i] * id)));
}

// Scale and minimum (both >= 0) of one group of 32 so that x is about scale * q - min, q in 0..15: a search
// over 21 candidate scales, each refined by weighted least squares.
float fit_scale_min(const float* x, const float* w, uint8_t* q, float* min_out) {
  constexpr int kN = 32, kMax = 15;
  float lo = x[0], hi = x[0], sum_w = w[0], sum_x = w[0] * x[0];
  for (int i = 1; i < kN; ++i) {
    lo = std::min(lo, x[i]);
    hi = std::max(hi, x[i]);
    sum_w += w[i];
    sum_x += w[i] * x[i];
  }
  if (lo > 0) lo = 0;
  if (!(hi != lo)) {
    std::fill(q, q + kN, uint8_t{0});
    *min_out = -lo;
    return 0;
  }
  const float first = static_cast<float>(kMax) / (hi - lo);
  float scale = 1.0f / first, best = 0;
  for (int i = 0; i < kN; ++i) {
    q[i] = static_cast<uint8_t>(std::clamp(nearest(first * (x[i] - lo)), 0, kMax));
    const float d = scale * static_cast<float>(q[i]) + lo - x[i];
    best += w[i] * (d * d);
  }
  std::array<uint8_t, kN> trial;
  for (int t = 0; t <= 20; ++t) {
    const float is = (-1.0f + 0.1f * static_cast<float>(t) + static_cast<float>(kMax)) / (hi - lo);
    float sum_l = 0, sum_l2 = 0, sum_xl = 0;
    for (int i = 0; i < kN; ++i) {
      const int l = std::clamp(nearest(is * (x[i] - lo)), 0, kMax);
      trial[static_cast<size_t>(i)] = static_cast<uint8_t>(l);
      const auto fl = static_cast<float>(l);
      sum_l += w[i] * fl;
      sum_l2 += w[i] * fl * fl;
      sum_xl += w[i] * fl * x[i];
    }
    const float det = sum_w * sum_l2 - sum_l * sum_l;
    if (!(det > 0)) continue;
    float s = (sum_w * sum_xl - sum_x * sum_l) / det;
    float m = (sum_l2 * sum_x - sum_l * sum_xl) / det;
    if (m > 0) m = 0, s = sum_xl / sum_l2;
    float err = 0;
    for (int i = 0; i < kN; ++i) {
      const float d = s * static_cast<float>(trial[static_cast<size_t>(i)]) + m - x[i];
      err += w[i] * (d * d);
    }
    if (err < best) {
      std::copy(trial.begin(), trial.end(), q);
      best = err;
      scale = s;
      lo = m;  // the later candidates start from here
    }
  }
  *min_out = -lo;
  return scale;
}

void encode_q4_k(const float* x, uint8_t* b) {
  std::array<uint8_t, 256> q;
  std::array<float, 8> scales, mins;
  float max_scale = 0, max_min = 0;
  for (size_t g = 0; g < 8; ++g) {
    const float* xg = x + 32 * g;
    float sum2 = 0;
    for (int i = 0; i < 32; ++i) sum2 += xg[i] * xg[i];
    const float mean = std::sqrt(sum2 / 32);
    std::array<float, 32> w;
    for (size_t i = 0; i < 32; ++i) w[i] = mean + std::fabs(xg[i]);
    scales[g] = fit_scale_min(xg, w.data(), q.data() + 32 * g, &mins[g]);
    max_scale = std::max(max_scale, scales[g]);
    max_min = std::max(max_min, mins[g]);
  }
  std::memset(b, 0, 144);
  const float inv_scale = max_scale > 0 ? 63.0f / max_scale : 0.0f,
              inv_min = max_min > 0 ? 63.0f / max_min : 0.0f;
  uint8_t* packed = b + 4;
  std::array<int, 8> sc, mn;
  for (size_t g = 0; g < 8; ++g) {
    sc[g] = std::clamp(nearest(inv_scale * scales[g]), 0, 63);
    mn[g] = std::clamp(nearest(inv_min * mins[g]), 0, 63);
    if (g < 4) {
      packed[g] = static_cast<uint8_t>(packed[g] | sc[g]);
      packed[g + 4] = static_cast<uint8_t>(packed[g + 4] | mn[g]);
    } else {
      packed[g + 4] = static_cast<uint8_t>((sc[g] & 15) | (mn[g] & 15) << 4);
      packed[g - 4] = static_cast<uint8_t>(packed[g - 4] | (sc[g] >> 4) << 6);
      packed[g] = static_cast<uint8_t>(packed[g] | (mn[g] >> 4) << 6);
    }
  }
  const uint16_t hd = float_to_half(max_scale / 63.0f), hm = float_to_half(max_min / 63.0f);
  store16(b, hd);
  store16(b + 2, hm);
  for (size_t g = 0; g < 8; ++g) {
    const float d = half_to_float(hd) * static_cast<float>(sc[g]);
    if (d == 0) continue;
    const float m = half_to_float(hm) * static_cast<float>(mn[g]);
    for (size_t i = 0; i < 32; ++i)
      q[32 * g + i] = static_cast<uint8_t>(std::clamp(nearest((x[32 * g + i] + m) / d), 0, 15));
  }
  for (size_t j = 0; j < 4; ++j)
    for (size_t l = 0; l < 32; ++l)
      b[16 + 32 * j + l] = static_cast<uint8_t>(q[64 * j + l] | q[64 * j + 32 + l] << 4);
}

// Scale of a group of 16 so that x is about scale * l, l in -32..31, weighted by x^2. `q` gets the levels l +
// 32 that led to the scale.
float fit_symmetric(const float* x, uint8_t* q) {
  constexpr int kN = 16, kMax = 32;
  const float max = signed_max(x, kN);
  std::fill(q, q + kN, uint8_t{0});
  if (std::fabs(max) < 1e-15f) return 0;
  float best = 0, scale = 0;
  std::array<uint8_t, kN> trial;
  for (int t : {0, -9, -8, -7, -6, -5, -4, -3, -2, -1, 1, 2, 3, 4, 5, 6, 7, 8, 9}) {
    const float is = -(static_cast<float>(kMax) + 0.1f * static_cast<float>(t)) / max;
    float sum_xl = 0, sum_l2 = 0;
    for (int i = 0; i < kN; ++i) {
      const int level = std::clamp(nearest(is * x[i]), -kMax, kMax - 1);
      trial[static_cast<size_t>(i)] = static_cast<uint8_t>(level + kMax);
      const auto l = static_cast<float>(level);
      const float w = x[i] * x[i];
      sum_xl += w * x[i] * l;
      sum_l2 += w * l * l;
    }
    if (t != 0 && !(sum_l2 > 0 && sum_xl * sum_xl > best * sum_l2)) continue;
    std::copy(trial.begin(), trial.end(), q);
    scale = sum_l2 > 0 ? sum_xl / sum_l2 : 0.0f;
    best = scale * sum_xl;
  }
  return scale;
}

void encode_q6_k(const float* x, uint8_t* b) {
  std::array<float, 16> scales;
  std::array<uint8_t, 256> q;
  for (size_t g = 0; g < 16; ++g) scales[g] = fit_symmetric(x + 16 * g, q.data() + 16 * g);
  const float max = signed_max(scales.data(), 16);
  std::memset(b, 0, 210);
  if (std::fabs(max) < 1e-15f) return;
  const float is = -128.0f / max;
  const uint16_t hd = float_to_half(1.0f / is);
  store16(b + 208, hd);
  for (size_t g = 0; g < 16; ++g) {
    const int s = std::clamp(nearest(is * scales[g]), -128, 127);
    b[192 + g] = static_cast<uint8_t>(s);
    const float d = half_to_float(hd) * static_cast<float>(s);
    if (d == 0) continue;  // such a group keeps the levels of the fit
    for (size_t i = 0; i < 16; ++i)
      q[16 * g + i] = static_cast<uint8_t>(std::clamp(nearest(x[16 * g + i] / d), -32, 31) + 32);
  }
  for (size_t h = 0; h < 2; ++h)
    for (size_t l = 0; l < 32; ++l) {
      const uint8_t* e = q.data() + 128 * h + l;
      b[64 * h + l] = static_cast<uint8_t>((e[0] & 15) | (e[64] & 15) << 4);
      b[64 * h + 32 + l] = static_cast<uint8_t>((e[32] & 15) | (e[96] & 15) << 4);
      b[128 + 32 * h + l] =
          static_cast<uint8_t>(e[0] >> 4 | (e[32] >> 4) << 2 | (e[64] >> 4) << 4 | (e[96] >> 4) << 6);
    }
}

}  // namespace

void encode_row(TensorType type, const float* src, std::byte* dst, int64_t n) {
  if (n == 0) return;  // the pointers may be null then
  auto* p = reinterpret_cast<uint8_t*>(dst);
  const auto blocks = [&](int elems, int bytes, void (*encode)(const float*, uint8_t*)) {
    for (int64_t i = 0; i < n / elems; ++i) encode(src + i * elems, p + i * bytes);
  };
  switch (type) {
    case TensorType::kF32:
      std::memcpy(dst, src, static_cast<size_t>(n) * sizeof(float));
      break;
    case TensorType::kF16:
      for (int64_t i = 0; i < n; ++i) store16(p + 2 * i, float_to_half(src[i]));
      break;
    case TensorType::kBF16:
      for (int64_t i = 0; i < n; ++i) store16(p + 2 * i, float_to_bf16(src[i]));
      break;
    case TensorType::kQ4_0:
      blocks(32, 18, encode_q4_0);
      break;
    case TensorType::kQ4_1:
      blocks(32, 20, encode_q4_1);
      break;
    case TensorType::kQ8_0:
      blocks(32, 34, encode_q8_0);
      break;
    case TensorType::kQ4_K:
      blocks(256, 144, encode_q4_k);
      break;
    case TensorType::kQ6_K:
      blocks(256, 210, encode_q6_k);
      break;
  }
}

}  // namespace quipu
