// How a model is loaded, whoever asks for it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "memory/machine.h"
#include "model/model.h"

namespace quipu::runner {

// What whoever waits for a load has asked for itself.
struct Wish {
  int64_t n_ctx = 0;  // 0: nothing
  std::optional<KvTypes> kv_types = {};
  bool empty() const { return n_ctx == 0 && !kv_types; }
};

struct LoadOptions {
  int64_t n_ctx = 0;  // 0: the model's trained length, as far as the budget holds one sequence of it
  bool n_ctx_is_default = false;  // and no more of n_ctx than that, either, if it is not refused
  int64_t n_parallel = 4;
  int n_threads = 0;  // 0: one per physical core
  // Half the bytes of f16 at its speed, and a KL divergence of 0.0004 to 0.0007 from it (docs/kv-cache.md).
  KvTypes kv_types = {kernels::KvType::kQ8_0, kernels::KvType::kQ8_0};
  std::vector<std::string> projectors = {};  // files beside the model's, for images
  // Loaded with this where the budget cannot hold the model with the above, even alone.
  Wish wish = {};
  bool keep_prefixes = true;      // between requests
  double idle_trim_seconds = 60;  // 0: never
  // This process's slot in a server's budget; nothing: it has one of its own, with these bounds.
  std::optional<size_t> budget_slot = {};
  memory::Bounds bounds = {};  // of what models may take
};

// The defaults, as environment variables change them (docs/environment.md): QUIPU_NUM_PARALLEL,
// QUIPU_THREADS, QUIPU_KV_CACHE_TYPE, QUIPU_PREFIX_CACHE, QUIPU_IDLE_TRIM, QUIPU_MEMORY,
// QUIPU_MEMORY_RESERVE. Where Ollama has the variable too, its name counts when ours is not set.
// kInvalidArgument names the variable.
Result<LoadOptions> default_load_options();
// For who has a slot in a server's budget: the server has read the bounds, and has warned of what makes no
// sense, for which the default is taken.
LoadOptions load_options_below_server();

// Every variable that makes no sense, bounds aside: a sentence each, which begins with its name.
std::vector<std::string> bad_load_settings();

}  // namespace quipu::runner
