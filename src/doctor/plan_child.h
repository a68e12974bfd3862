// A plan made by a process of its own, `quipu plan`: a file that shrinks while it is mapped ends that one.
//
// Threads: any; it waits.
#pragma once

#include <chrono>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/result.h"

namespace quipu::doctor {

// A file, how it would be loaded, and what it is held against.
struct PlanRequest {
  std::string path;
  std::string projector = {};  // empty: none
  uint64_t budget = 0;
  uint64_t admitted = 0;  // of the budget, to other models
  int64_t n_parallel = 1;
  int64_t n_ctx = 0;               // above the trained length: that; 0: what the budget holds
  bool n_ctx_is_default = false;   // of n_ctx, too, what the budget holds
  std::string kv_cache_type = {};  // empty: the default
  int64_t threads = 0;             // 0: the default
};

// The program's name first.
std::vector<std::string> plan_arguments(const PlanRequest& request);

// The one object that `quipu plan` prints with its texts, or why there is none. kUnsupported: what it says;
// kIo: it was not done in time.
Result<nlohmann::ordered_json> plan_in_child(const PlanRequest& request, std::chrono::milliseconds patience);

}  // namespace quipu::doctor
