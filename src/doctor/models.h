// Models whose own settings take more memory than there is for models: findings of `quipu doctor`.
//
// Threads: any; it waits, ten seconds at most.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
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
  std::string projector = {};       // empty: none
  int64_t n_ctx = 0;                // its PARAMETER, or what the settings say; 0: the trained length
  bool says_n_ctx = false;          // n_ctx is its PARAMETER, which comes before the settings
  std::string kv_cache_type = {};   // empty: the default
  bool says_kv_cache_type = false;  // as says_n_ctx
  std::optional<std::string> bad_kv_cache_type = {};  // its PARAMETER that is no type
  int threads = 0;                                    // 0: the default
  int64_t n_parallel = 1;                             // it is loaded for so many sequences
};

struct ModelSource {
  std::vector<std::string> names;
  std::function<Result<StoredModel>(const std::string& name)> read;
  // As doctor::plan_in_child(); tests have their own.
  std::function<Result<nlohmann::ordered_json>(const PlanRequest& request,
                                               std::chrono::milliseconds patience)>
      plan;
};

// One finding for each model that does not fit a budget of so many bytes, not loaded or not with its num_ctx
// for one sequence, ten at most, and one for all. A model that says no num_ctx is served with as much of the
// trained length as fits, and nothing is wrong with that. 50 models at most are looked at, in their names'
// order; the last finding counts the rest.
std::vector<Finding> examine_models(ModelSource source, uint64_t budget);

}  // namespace quipu::doctor
