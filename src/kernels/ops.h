// Element-wise operations, norms and rotary embedding. Same bits on every instruction set: sums run over 32
// lanes (element k in lane k mod 32, chains of fma in rising k, tree +16 +8 +4 +2 +1), exp/sin/cos/pow are
// our own. All of them work on one row and are called from inside a parallel loop.
#pragma once

#include <cstdint>
#include <span>

namespace quipu::kernels {

// y = x / sqrt(mean(x^2) + eps) * w. y may be x. Spec: gguf-and-models 5.1.
void rms_norm(const float* x, const float* w, float eps, int64_t n, float* y);
// The same with the mean in doubles, for comparisons with float32 activations: an error there is one of the
// whole row, and may decide how a cache of few bits rounds it.
void rms_norm_exact(const float* x, const float* w, float eps, int64_t n, float* y);

// gate[i] = gate[i] / (1 + exp(-gate[i])) * up[i]
void swiglu(float* gate, const float* up, int64_t n);

void add(float* x, const float* y, int64_t n);                      // x += y
void add_scaled(float* x, const float* y, float scale, int64_t n);  // x = fma(y, scale, x)
void scale(float* x, float s, int64_t n);                           // x *= s

// Multiplies every `size` consecutive values of x [n] by the orthonormal Walsh-Hadamard matrix of that size,
// a power of two from 8 on that divides n. It is its own inverse, and leaves scalar products of two vectors
// as they are.
void hadamard(float* x, int64_t n, int64_t size);

// Rotation angles of one position, as cos and sin per pair: tables [n_pairs] each. Spec: gguf-and-models 5.2.
struct RopeParams {
  int n_rot = 0;  // rotated dimensions, even; pairs = n_rot / 2
  float freq_base = 10000.0f;
  float freq_scale = 1.0f;   // 1 / factor
  float ext_factor = 0.0f;   // YaRN mix, 0: off
  float attn_factor = 1.0f;  // magnitude, already corrected as the spec says
  float beta_fast = 32.0f, beta_slow = 1.0f;
  int64_t n_ctx_orig = 0;          // YaRN: original context length
  std::span<const float> factors;  // rope_freqs: divisors per pair, or empty
};
void rope_angles(const RopeParams& p, int64_t position, float* cos_out, float* sin_out);

// Rotates neighbouring pairs (x[2i], x[2i+1]) of every head in place: x [n_heads, head_stride].
void rope_neighbours(float* x, int n_heads, int64_t head_stride, int n_pairs, const float* cos_in,
                     const float* sin_in);

}  // namespace quipu::kernels
