#include <bit>
#include <cmath>
#include <initializer_list>

#include "kernels/exp_constants.h"
#include "kernels/ops_impl.h"

namespace quipu::kernels::scalar {

namespace {

constexpr int kLanes = 32;

float exp_full(float x) {
  if (!(x >= kExpLowest)) return 0.0f;
  if (x > kExpHighest) return HUGE_VALF;
  const float t = std::fma(x, kExpLog2E, kExpRound);
  const float n = t - kExpRound;
  const float r = std::fma(-n, kExpLn2Lo, std::fma(-n, kExpLn2Hi, x));
  float p = kExpC6;
  for (float c : {kExpC5, kExpC4, kExpC3, kExpC2, 1.0f, 1.0f}) p = std::fma(p, r, c);
  const uint32_t exponent = std::bit_cast<uint32_t>(t) << kExpMantissaBits;
  return std::bit_cast<float>(std::bit_cast<uint32_t>(p) + exponent);
}

void rms_norm(const float* x, const float* w, float eps, int64_t n, float* y) {
  float lane[kLanes] = {};
  for (int64_t k = 0; k < n; ++k) lane[k % kLanes] = std::fma(x[k], x[k], lane[k % kLanes]);
  for (int half = kLanes / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) lane[i] += lane[i + half];
  const float factor = 1.0f / std::sqrt(lane[0] / static_cast<float>(n) + eps);
  for (int64_t k = 0; k < n; ++k) y[k] = x[k] * factor * w[k];
}

void swiglu(float* gate, const float* up, int64_t n) {
  for (int64_t i = 0; i < n; ++i) gate[i] = gate[i] / (1.0f + exp_full(-gate[i])) * up[i];
}

void add(float* x, const float* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) x[i] += y[i];
}

void add_scaled(float* x, const float* y, float scale, int64_t n) {
  for (int64_t i = 0; i < n; ++i) x[i] = std::fma(y[i], scale, x[i]);
}

void scale(float* x, float s, int64_t n) {
  for (int64_t i = 0; i < n; ++i) x[i] *= s;
}

void rope_neighbours(float* x, int n_heads, int64_t head_stride, int n_pairs, const float* cos_in,
                     const float* sin_in) {
  for (int h = 0; h < n_heads; ++h, x += head_stride) {
    for (int i = 0; i < n_pairs; ++i) {
      const float a = x[2 * i], b = x[2 * i + 1];
      x[2 * i] = std::fma(a, cos_in[i], -(b * sin_in[i]));
      x[2 * i + 1] = std::fma(b, cos_in[i], a * sin_in[i]);
    }
  }
}

}  // namespace

const OpsTable kOps = {rms_norm, swiglu, add, add_scaled, scale, rope_neighbours};

}  // namespace quipu::kernels::scalar
