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
// Every step adds and subtracts pairs whose distance is `half`; four lanes, which every x86-64 has, do what
// one would do, so there is one version of it. The first two steps, whose pairs lie in one vector, are one
// pass, and the last one multiplies by the norm.
void hadamard(float* x, int64_t n, int64_t size) {
  using Lanes = float __attribute__((vector_size(16), aligned(4), may_alias));
  constexpr Lanes kSigns1 = {1, -1, 1, -1}, kSigns2 = {1, 1, -1, -1};
  const float norm = 1.0f / std::sqrt(static_cast<float>(size));
  for (float* const end = x + n; x < end; x += size) {
    auto* const v = reinterpret_cast<Lanes*>(x);
    const int64_t n_vectors = size / 4;
    for (int64_t i = 0; i < n_vectors; ++i) {
      Lanes u = v[i];
      u = __builtin_shufflevector(u, u, 0, 0, 2, 2) + __builtin_shufflevector(u, u, 1, 1, 3, 3) * kSigns1;
      v[i] = __builtin_shufflevector(u, u, 0, 1, 0, 1) + __builtin_shufflevector(u, u, 2, 3, 2, 3) * kSigns2;
    }
    for (int64_t half = 1; half < n_vectors; half *= 2) {
      const float factor = 2 * half == n_vectors ? norm : 1.0f;
      for (int64_t i = 0; i < n_vectors; i += 2 * half) {
        for (int64_t j = i; j < i + half; ++j) {
          const Lanes a = v[j], b = v[j + half];
          v[j] = (a + b) * factor;
          v[j + half] = (a - b) * factor;
        }
      }
    }
  }
}

void rms_norm_exact(const float* x, const float* w, float eps, int64_t n, float* y) {
  double sum = 0;
  for (int64_t k = 0; k < n; ++k) sum += static_cast<double>(x[k]) * static_cast<double>(x[k]);
  const auto factor =
      static_cast<float>(1.0 / std::sqrt(sum / static_cast<double>(n) + static_cast<double>(eps)));
  for (int64_t k = 0; k < n; ++k) y[k] = x[k] * factor * w[k];
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
