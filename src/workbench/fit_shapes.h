// Models to try a machine with where there is no file: typical shapes of the usual sizes.
//
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "memory/plan.h"
#include "quant/mix.h"

namespace quipu::workbench {

struct TypicalModel {
  const char* name;   // "8B"
  const char* after;  // the published model whose numbers these are
  int64_t n_layers, n_embd, n_heads, n_kv_heads, head_dim, n_ff, n_vocab, n_ctx_train;
  bool tied;  // the embedding is the output matrix too

  double parameters() const;
  WeightCounts weights() const;
  // Without weights: those depend on the file. The workspace is an estimate from above.
  memory::ModelShape shape(int n_threads) const;
};

std::span<const TypicalModel> typical_models();

// "8b", "1.5B", "500M": parameters; nothing if it is no such number.
std::optional<double> parse_parameters(std::string_view text);

// The typical model nearest in size, by ratio.
const TypicalModel& nearest_model(double parameters);

}  // namespace quipu::workbench
