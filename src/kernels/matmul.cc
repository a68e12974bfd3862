#include "kernels/matmul.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "quant/block_layout.h"
#include "quant/codec.h"

namespace quipu::kernels {

ActKind act_kind(TensorType type) {
  switch (type) {
    case TensorType::kF32: case TensorType::kF16: case TensorType::kBF16: return ActKind::kFloat;
    case TensorType::kQ4_K: case TensorType::kQ6_K: return ActKind::kInt8Per256;
    default: return ActKind::kInt8Per32;
  }
}
size_t act_bytes(ActKind, int64_t n_cols, int64_t n_tokens) { return static_cast<size_t>(n_cols * n_tokens) * 4; }
size_t matmul_scratch_bytes(int64_t max_cols) { return static_cast<size_t>(max_cols) * 4 + 64; }

namespace {
struct Q { float d; };
float dot_f(const float* w, const float* x, int64_t n) {
  float l[32] = {};
  for (int64_t k = 0; k < n; ++k) l[k % 32] = std::fma(w[k], x[k], l[k % 32]);
  for (int s = 16; s; s >>= 1) for (int i = 0; i < s; ++i) l[i] += l[i + s];
  return l[0];
}
}  // namespace

void prepare(ThreadPool&, ActKind, const float* x, int64_t ldx, int64_t n_cols, int64_t n_tokens, std::byte* acts) {
  for (int64_t t = 0; t < n_tokens; ++t)
    std::memcpy(acts + t * n_cols * 4, x + t * ldx, static_cast<size_t>(n_cols) * 4);
}

namespace {
float dot_q(TensorType type, const uint8_t* row, const float* x, int64_t n) {
  const int be = type_info(type)->block_elems, bb = type_info(type)->block_bytes;
  float acc = 0;
  std::vector<int> a(static_cast<size_t>(be));
  for (int64_t u = 0; u < n / be; ++u) {
    const float* xu = x + u * be;
    const uint8_t* b = row + u * bb;
    float m = 0;
    for (int i = 0; i < be; ++i) m = std::max(m, std::fabs(xu[i]));
    const float dx = m / 127.0f, id = dx > 0 ? 1.0f / dx : 0.0f;
    for (int i = 0; i < be; ++i) a[static_cast<size_t>(i)] = static_cast<int>(std::nearbyint(xu[i] * id));
    auto h = [&](int o) { uint16_t v; std::memcpy(&v, b + o, 2); return half_to_float(v); };
    int I = 0, M = 0;
    float t;
    auto A = [&](int i) { return a[static_cast<size_t>(i)]; };
    switch (type) {
      case TensorType::kQ8_0: for (int i = 0; i < 32; ++i) I += static_cast<int8_t>(b[2 + i]) * A(i); t = h(0) * static_cast<float>(I); break;
      case TensorType::kQ4_0: for (int i = 0; i < 32; ++i) I += ((i < 16 ? b[2 + i] & 15 : b[2 + i - 16] >> 4) - 8) * A(i); t = h(0) * static_cast<float>(I); break;
      case TensorType::kQ4_1: for (int i = 0; i < 32; ++i) { I += (i < 16 ? b[4 + i] & 15 : b[4 + i - 16] >> 4) * A(i); M += A(i); }
        t = std::fma(h(0), static_cast<float>(I), -(-h(2) * static_cast<float>(M))); break;
      case TensorType::kQ4_K:
        for (int i = 0; i < 256; ++i) { const int g = i / 32; const ScaleMin s = q4_k_scale(b + 4, g); const int q = b[16 + g / 2 * 32 + i % 32];
          I += s.scale * (g & 1 ? q >> 4 : q & 15) * A(i); M += s.min * A(i); }
        t = std::fma(h(0), static_cast<float>(I), -(h(2) * static_cast<float>(M))); break;
      default:
        for (int i = 0; i < 256; ++i) { const int hf = i / 128, c = i % 128 / 32, l = i % 32; int q = b[64 * hf + (c & 1) * 32 + l]; q = c & 2 ? q >> 4 : q & 15;
          q = (q | (b[128 + 32 * hf + l] >> (2 * c) & 3) << 4) - 32; I += static_cast<int8_t>(b[192 + i / 16]) * q * A(i); }
        t = h(208) * static_cast<float>(I);
    }
    acc = std::fma(dx, t, acc);
  }
  return acc;
}
}  // namespace

void matmul(ThreadPool& pool, std::span<const Product> products, const std::byte* acts, int64_t n_tokens, std::byte*) {
  for (const Product& p : products) {
    const size_t rb = *row_bytes(p.w.type, p.w.n_cols);
    const auto* x = reinterpret_cast<const float*>(acts);
    pool.run(static_cast<int>(p.w.n_rows), [&](int r, int) {
      const auto* row = reinterpret_cast<const uint8_t*>(p.w.data + static_cast<size_t>(r) * rb);
      std::vector<float> w;
      const bool f = act_kind(p.w.type) == ActKind::kFloat;
      if (f) { w.resize(static_cast<size_t>(p.w.n_cols)); decode_row(p.w.type, p.w.data + static_cast<size_t>(r) * rb, w.data(), p.w.n_cols); }
      for (int64_t t = 0; t < n_tokens; ++t)
        p.y[t * p.ldy + r] = f ? dot_f(w.data(), x + t * p.w.n_cols, p.w.n_cols) : dot_q(p.w.type, row, x + t * p.w.n_cols, p.w.n_cols);
    });
  }
}

void matmul_exact(ThreadPool& pool, std::span<const Product> products, const float* x, int64_t ldx, int64_t n_tokens, std::byte*) {
  for (const Product& p : products) {
    const size_t rb = *row_bytes(p.w.type, p.w.n_cols);
    pool.run(static_cast<int>(p.w.n_rows), [&](int r, int) {
      std::vector<float> w(static_cast<size_t>(p.w.n_cols));
      decode_row(p.w.type, p.w.data + static_cast<size_t>(r) * rb, w.data(), p.w.n_cols);
      for (int64_t t = 0; t < n_tokens; ++t) p.y[t * p.ldy + r] = dot_f(w.data(), x + t * ldx, p.w.n_cols);
    });
  }
}

void decode_weight_row(const Weights& w, int64_t row, float* dst) {
  const size_t rb = *row_bytes(w.type, w.n_cols);
  decode_row(w.type, w.data + static_cast<size_t>(row) * rb, dst, w.n_cols);
}

}  // namespace quipu::kernels
