#include "kernels/ops.h"

#include <algorithm>
#include <cmath>

#include "kernels/det_math.h"
#include "kernels/dispatch.h"
#include "kernels/ops_impl.h"

namespace quipu::kernels {

namespace {

const OpsTable& table() {
  switch (active_isa()) {
    case Isa::kAvx512:
      return avx512::kOps;
    case Isa::kAvx2:
      return avx2::kOps;
    case Isa::kScalar:
      break;
  }
  return scalar::kOps;
}

float log_float(float x) { return static_cast<float>(det::log(x)); }

// The pair at which a full turn over the original context happens `turns` times.
float yarn_pair(const RopeParams& p, float turns) {
  constexpr float kTwoPi = 6.28318530717958647692f;
  return static_cast<float>(p.n_rot) * log_float(static_cast<float>(p.n_ctx_orig) / (turns * kTwoPi)) /
         (2.0f * log_float(p.freq_base));
}

}  // namespace

// Sums and differences alone, each value on its own: the same bits however a compiler makes vectors of it.
void hadamard(float* x, int64_t n, int64_t size) {
  const float norm = 1.0f / std::sqrt(static_cast<float>(size));
  for (float* const end = x + n; x < end; x += size) {
    for (int64_t half = 1; half < size; half *= 2) {
      for (int64_t i = 0; i < size; i += 2 * half) {
        for (int64_t j = i; j < i + half; ++j) {
          const float a = x[j], b = x[j + half];
          x[j] = a + b;
          x[j + half] = a - b;
        }
      }
    }
    for (int64_t i = 0; i < size; ++i) x[i] *= norm;
  }
}

void rms_norm(const float* x, const float* w, float eps, int64_t n, float* y) {
  table().rms_norm(x, w, eps, n, y);
}
void swiglu(float* gate, const float* up, int64_t n) { table().swiglu(gate, up, n); }
void add(float* x, const float* y, int64_t n) { table().add(x, y, n); }
void add_scaled(float* x, const float* y, float scale, int64_t n) { table().add_scaled(x, y, scale, n); }
void scale(float* x, float s, int64_t n) { table().scale(x, s, n); }

void rope_neighbours(float* x, int n_heads, int64_t head_stride, int n_pairs, const float* cos_in,
                     const float* sin_in) {
  table().rope_neighbours(x, n_heads, head_stride, n_pairs, cos_in, sin_in);
}

void rope_angles(const RopeParams& p, int64_t position, float* cos_out, float* sin_out) {
  const int n_pairs = p.n_rot / 2;
  // Float steps in the order of the reference implementation: the running product drifts from base^(-2i/n) by
  // a few ulp, and models are run with that drift.
  const float step = static_cast<float>(det::pow(p.freq_base, -2.0f / static_cast<float>(p.n_rot)));
  const bool yarn = p.ext_factor != 0.0f;
  float low = 0.0f, high = 0.0f;
  float magnitude = p.attn_factor;
  if (yarn) {
    low = std::max(0.0f, std::floor(yarn_pair(p, p.beta_fast)));
    high = std::min(static_cast<float>(p.n_rot - 1), std::ceil(yarn_pair(p, p.beta_slow)));
    magnitude *= 1.0f + 0.1f * log_float(1.0f / p.freq_scale);
  }
  float angle = static_cast<float>(position);
  for (int i = 0; i < n_pairs; ++i, angle *= step) {
    const float own =
        static_cast<size_t>(i) < p.factors.size() ? angle / p.factors[static_cast<size_t>(i)] : angle;
    float theta = p.freq_scale * own;
    if (yarn) {
      const float place = (static_cast<float>(i) - low) / std::max(0.001f, high - low);
      const float ramp = (1.0f - std::min(1.0f, std::max(0.0f, place))) * p.ext_factor;
      theta = theta * (1.0f - ramp) + own * ramp;
    }
    cos_out[i] = static_cast<float>(det::cos(theta)) * magnitude;
    sin_out[i] = static_cast<float>(det::sin(theta)) * magnitude;
  }
}

}  // namespace quipu::kernels
