// The body of ops.cc of the vector instruction sets: included once by each, after its float_vector.h and
// inside its namespace's unnamed namespace. A tail shorter than 32 is copied into a zeroed buffer, so that
// element k is in lane k mod 32 there too.

constexpr int kLanes = 32;
constexpr int kVectors = kLanes / kN;

QUIPU_INLINE void copy(float* to, const float* from, int64_t n) {
  for (int64_t i = 0; i < n; ++i) to[i] = from[i];
}

QUIPU_INLINE void add_squares(F* lanes, const float* x) {
  for (int v = 0; v < kVectors; ++v) {
    const F a = load(x + v * kN);
    lanes[v] = fma(a, a, lanes[v]);
  }
}

void rms_norm(const float* x, const float* w, float eps, int64_t n, float* y) {
  F lanes[kVectors];
  for (F& lane : lanes) lane = zero();
  int64_t k = 0;
  for (; k + kLanes <= n; k += kLanes) add_squares(lanes, x + k);
  if (k < n) {
    float tail[kLanes] = {};
    copy(tail, x + k, n - k);
    add_squares(lanes, tail);
  }
  F rows[1] = {fold_32(lanes, Add{})};
  float sum[kN];
  store(sum, reduce_rows<1>(rows, Add{}));
  const float factor = 1.0f / square_root(sum[0] / static_cast<float>(n) + eps);
  const F factors = all(factor);
  k = 0;
  for (; k + kN <= n; k += kN) store(y + k, mul(mul(load(x + k), factors), load(w + k)));
  for (; k < n; ++k) y[k] = x[k] * factor * w[k];
}

QUIPU_INLINE F gated(F gate, F up) { return mul(div(gate, add(all(1.0f), exp_full(negate(gate)))), up); }

void swiglu(float* gate, const float* up, int64_t n) {
  int64_t i = 0;
  for (; i + kN <= n; i += kN) store(gate + i, gated(load(gate + i), load(up + i)));
  if (i < n) {
    float g[kN] = {}, u[kN] = {};
    copy(g, gate + i, n - i);
    copy(u, up + i, n - i);
    store(g, gated(load(g), load(u)));
    copy(gate + i, g, n - i);
  }
}

void add(float* x, const float* y, int64_t n) {
  int64_t i = 0;
  for (; i + kN <= n; i += kN) store(x + i, add(load(x + i), load(y + i)));
  for (; i < n; ++i) x[i] += y[i];
}

void add_scaled(float* x, const float* y, float scale, int64_t n) {
  int64_t i = 0;
  for (; i + kN <= n; i += kN) store(x + i, fma(load(y + i), all(scale), load(x + i)));
  for (; i < n; ++i) x[i] = __builtin_fmaf(y[i], scale, x[i]);
}

void scale(float* x, float s, int64_t n) {
  int64_t i = 0;
  for (; i + kN <= n; i += kN) store(x + i, mul(load(x + i), all(s)));
  for (; i < n; ++i) x[i] *= s;
}

void rope_neighbours(float* x, int n_heads, int64_t head_stride, int n_pairs, const float* cos_in,
                     const float* sin_in) {
  for (int h = 0; h < n_heads; ++h, x += head_stride) {
    int i = 0;
    for (; i + kN / 2 <= n_pairs; i += kN / 2)
      store(x + 2 * i, rotate_pairs(load(x + 2 * i), cos_in + i, sin_in + i));
    for (; i < n_pairs; ++i) {
      const float a = x[2 * i], b = x[2 * i + 1];
      x[2 * i] = __builtin_fmaf(a, cos_in[i], -(b * sin_in[i]));
      x[2 * i + 1] = __builtin_fmaf(b, cos_in[i], a * sin_in[i]);
    }
  }
}
