#include "workbench/fit_shapes.h"

#include <array>
#include <charconv>
#include <cmath>

#include "model/model.h"

namespace quipu::workbench {

namespace {

// From the models' published configurations.
constexpr std::array kModels = {
    //           name   after           layers  embd heads kv  head    ff    vocab  trained tied
    TypicalModel{"1B", "Llama 3.2 1B", 16, 2048, 32, 8, 64, 8192, 128256, 131072, true},
    TypicalModel{"3B", "Llama 3.2 3B", 28, 3072, 24, 8, 128, 8192, 128256, 131072, true},
    TypicalModel{"8B", "Llama 3.1 8B", 32, 4096, 32, 8, 128, 14336, 128256, 131072, false},
    TypicalModel{"14B", "Qwen3 14B", 40, 5120, 40, 8, 128, 17408, 151936, 40960, false},
    TypicalModel{"32B", "Qwen3 32B", 64, 5120, 64, 8, 128, 25600, 151936, 40960, false},
    TypicalModel{"70B", "Llama 3.1 70B", 80, 8192, 64, 8, 128, 28672, 128256, 131072, false},
};

constexpr int64_t kHeaderBytes = 8 << 20;  // mostly the vocabulary
constexpr int64_t kTokenizerBytesPerToken = 72;

}  // namespace

double TypicalModel::parameters() const {
  const WeightCounts c = weights();
  return static_cast<double>(c.n_embedding + c.n_output + c.n_value_down + c.n_other + c.n_vector);
}

WeightCounts TypicalModel::weights() const {
  WeightCounts c;
  const int64_t q = n_heads * head_dim, kv = n_kv_heads * head_dim;
  c.n_embedding = n_vocab * n_embd;
  c.n_output = tied ? 0 : n_vocab * n_embd;
  c.n_value_down = n_layers * n_embd * (kv + n_ff);
  c.n_other = n_layers * n_embd * (2 * q + kv + 2 * n_ff);
  c.n_vector = (2 * n_layers + 1) * n_embd;
  c.header_bytes = kHeaderBytes;
  return c;
}

memory::ModelShape TypicalModel::shape(int n_threads) const {
  memory::ModelShape s;
  const int64_t q = n_heads * head_dim, kv = n_kv_heads * head_dim;
  // Of each row: the residual stream and a norm's output, the widest of what a layer makes, and the
  // activations of that rounded to a little more than a byte each.
  const int64_t widest = std::max(q + 2 * kv, 2 * n_ff);
  s.workspace_bytes =
      static_cast<uint64_t>(kMaxBatchRows * (8 * n_embd + 4 * widest + 2 * std::max(n_embd, n_ff)));
  s.max_rows = kMaxBatchRows;
  s.n_threads = n_threads;
  s.n_vocab = n_vocab;
  s.n_embd = n_embd;
  s.n_ctx_train = n_ctx_train;
  s.tokenizer_bytes = static_cast<uint64_t>(n_vocab * kTokenizerBytesPerToken);
  s.groups.push_back(
      {.n_layers = n_layers, .n_kv_heads = n_kv_heads, .head_dim_k = head_dim, .head_dim_v = head_dim});
  return s;
}

std::span<const TypicalModel> typical_models() { return kModels; }

std::optional<double> parse_parameters(std::string_view text) {
  double scale = 0;
  if (!text.empty()) {
    const char unit = text.back();
    scale = unit == 'b' || unit == 'B' ? 1e9 : unit == 'm' || unit == 'M' ? 1e6 : 0;
  }
  if (scale == 0) return std::nullopt;
  double n = 0;
  const char* end = text.data() + text.size() - 1;
  const auto [stop, problem] = std::from_chars(text.data(), end, n, std::chars_format::fixed);
  if (problem != std::errc() || stop != end || !(n > 0) || n * scale > 1e13) return std::nullopt;
  return n * scale;
}

const TypicalModel& nearest_model(double parameters) {
  const TypicalModel* best = &kModels.front();
  const auto distance = [&](const TypicalModel& m) {
    return std::abs(std::log(m.parameters() / parameters));
  };
  for (const TypicalModel& m : kModels)
    if (distance(m) < distance(*best)) best = &m;
  return *best;
}

}  // namespace quipu::workbench
