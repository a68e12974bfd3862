// Models whose own num_ctx takes more memory than there is for models: findings of `quipu doctor`.
//
// Threads: any; it waits, ten seconds at most.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "doctor/findings.h"
#include "doctor/plan_child.h"

namespace quipu::doctor {

// A model as the store has it and as it would be loaded.
struct StoredModel {
  std::string path;
  std::string projector = {};      // empty: none
  int64_t n_ctx = 0;               // its PARAMETER, or what the settings say; 0: the trained length
  int64_t n_ctx_train = 0;         // 0: unknown
  bool says_n_ctx = false;         // n_ctx is its PARAMETER, which comes before the settings
  std::string kv_cache_type = {};  // empty: the default
  int threads = 0;                 // 0: the default
  int64_t n_parallel = 1;          // it is loaded for so many sequences
};

struct ModelSource {
  std::vector<std::string> names;
  std::function<Result<StoredModel>(const std::string& name)> read;
  // As doctor::plan_in_child(); tests have their own.
  std::function<Result<nlohmann::ordered_json>(const PlanRequest& request,
                                               std::chrono::milliseconds patience)>
      plan;
};

// One finding for each model whose single sequence of its own num_ctx does not fit a budget of so many bytes,
// ten at most, and one for all. 50 models at most are looked at, in their names' order; the last finding
// counts the rest.
std::vector<Finding> examine_models(ModelSource source, uint64_t budget);

}  // namespace quipu::doctor
