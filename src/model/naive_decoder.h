// The llama family written down as plainly as it can be, in double, from the weights of a TinyModel: what a
// Decoder has to come near to, for any shape. Tests only.
#pragma once

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "model/tiny_model.h"

namespace quipu::test {

struct NaiveDecoder {
  const TinyModel& m;
  int64_t n_rot = 0;
  double freq_scale = 1, attention_scale = 0, embedding_scale = 1, residual_scale = 1, logit_divisor = 1;
  bool use_rope = true;
  size_t window = 0;
  std::vector<bool> windowed = {}, rotated = {};  // [layer]; empty: none have a window, all are rotated
  mutable std::map<std::string, std::vector<double>> known = {};

  using Rows = std::vector<std::vector<double>>;

  // As the file has them: rounded by its format.
  const std::vector<double>& weights(const std::string& name) const {
    const auto [at, is_new] = known.try_emplace(name);
    if (!is_new) return at->second;
    for (const TinyTensor& t : m.tensors()) {
      if (t.name != name) continue;
      std::vector<float> x = m.values(t);
      std::vector<std::byte> blocks(x.size() * 4);
      encode_row(t.type, x.data(), blocks.data(), static_cast<int64_t>(x.size()));
      decode_row(t.type, blocks.data(), x.data(), static_cast<int64_t>(x.size()));
      at->second.assign(x.begin(), x.end());
    }
    return at->second;
  }

  std::vector<double> linear(const std::string& name, const std::vector<double>& x) const {
    const auto &w = weights(name + ".weight"), &bias = weights(name + ".bias");
    std::vector<double> y(w.size() / x.size());
    for (size_t o = 0; o < y.size(); ++o) {
      for (size_t i = 0; i < x.size(); ++i) y[o] += w[o * x.size() + i] * x[i];
      if (!bias.empty()) y[o] += bias[o];
    }
    return y;
  }

  std::vector<double> norm(const std::string& name, const std::vector<double>& x) const {
    const auto& w = weights(name);
    double sum = 0;
    for (const double v : x) sum += v * v;
    std::vector<double> y(x.size());
    for (size_t i = 0; i < x.size(); ++i)
      y[i] = x[i] * w[i] / std::sqrt(sum / static_cast<double>(x.size()) + 1e-5);
    return y;
  }

  void rotate(std::vector<double>& x, int64_t n_heads, size_t position) const {
    if (!use_rope) return;
    const auto& factors = weights("rope_freqs.weight");
    for (int64_t head = 0; head < n_heads; ++head)
      for (int64_t i = 0; i < n_rot / 2; ++i) {
        const auto at = static_cast<size_t>(head * m.head_dim_k + 2 * i);
        double angle = static_cast<double>(position) *
                       std::pow(10000.0, -2.0 * static_cast<double>(i) / static_cast<double>(n_rot)) *
                       freq_scale;
        if (!factors.empty()) angle /= factors[static_cast<size_t>(i)];
        const double a = x[at], b = x[at + 1];
        x[at] = a * std::cos(angle) - b * std::sin(angle);
        x[at + 1] = a * std::sin(angle) + b * std::cos(angle);
      }
  }

  // Of the last query against all keys so far, from the first that it sees.
  std::vector<double> attend(const std::vector<double>& q, const Rows& keys, const Rows& values,
                             size_t first) const {
    const auto dk = static_cast<size_t>(m.head_dim_k), dv = static_cast<size_t>(m.head_dim_v);
    const double scale = attention_scale != 0 ? attention_scale : 1 / std::sqrt(static_cast<double>(dk));
    std::vector<double> out(static_cast<size_t>(m.n_heads) * dv);
    for (size_t h = 0; h < static_cast<size_t>(m.n_heads); ++h) {
      const size_t kv = h / static_cast<size_t>(m.n_heads / m.n_kv_heads);
      std::vector<double> p(keys.size(), -1e30);
      for (size_t t = first; t < keys.size(); ++t) p[t] = 0;
      for (size_t t = first; t < keys.size(); ++t)
        for (size_t i = 0; i < dk; ++i) p[t] += q[h * dk + i] * keys[t][kv * dk + i] * scale;
      const double most = *std::max_element(p.begin(), p.end());
      double sum = 0;
      for (double& v : p) sum += v = std::exp(v - most);
      for (size_t t = first; t < keys.size(); ++t)
        for (size_t i = 0; i < dv; ++i) out[h * dv + i] += p[t] / sum * values[t][kv * dv + i];
    }
    return out;
  }

  // The last hidden states of every token, normalised.
  Rows hidden(const std::vector<int32_t>& tokens) const {
    const auto& embedding = weights("token_embd.weight");
    const auto n_embd = static_cast<size_t>(m.n_embd);
    Rows x;
    for (const int32_t t : tokens) {
      x.emplace_back(embedding.begin() + static_cast<int64_t>(t) * m.n_embd,
                     embedding.begin() + static_cast<int64_t>(t + 1) * m.n_embd);
      for (double& v : x.back()) v *= embedding_scale;
    }
    for (int64_t layer = 0; layer < m.n_layers; ++layer) {
      const std::string p = "blk." + std::to_string(layer) + ".";
      Rows keys, values;
      for (size_t t = 0; t < tokens.size(); ++t) {
        const auto n = norm(p + "attn_norm.weight", x[t]);
        auto q = linear(p + "attn_q", n);
        keys.push_back(linear(p + "attn_k", n));
        values.push_back(linear(p + "attn_v", n));
        if (rotated.empty() || rotated[static_cast<size_t>(layer)]) {
          rotate(q, m.n_heads, t);
          rotate(keys.back(), m.n_kv_heads, t);
        }
        const bool sees_all = windowed.empty() || !windowed[static_cast<size_t>(layer)] || t < window;
        const auto a = linear(p + "attn_output", attend(q, keys, values, sees_all ? 0 : t + 1 - window));
        for (size_t i = 0; i < n_embd; ++i) x[t][i] += residual_scale * a[i];
        const auto n2 = norm(p + "ffn_norm.weight", x[t]);
        auto gate = linear(p + "ffn_gate", n2);
        const auto up = linear(p + "ffn_up", n2);
        for (size_t i = 0; i < gate.size(); ++i) gate[i] *= up[i] / (1 + std::exp(-gate[i]));
        const auto f = linear(p + "ffn_down", gate);
        for (size_t i = 0; i < n_embd; ++i) x[t][i] += residual_scale * f[i];
      }
    }
    for (auto& row : x) row = norm("output_norm.weight", row);
    return x;
  }

  // Logits of every token.
  Rows run(const std::vector<int32_t>& tokens) const {
    Rows logits;
    for (const auto& row : hidden(tokens)) {
      logits.push_back(linear(m.tied ? "token_embd" : "output", row));
      for (double& v : logits.back()) v /= logit_divisor;
    }
    return logits;
  }
};

}  // namespace quipu::test
