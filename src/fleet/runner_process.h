// Starting a runner as a child of this program, and what it says when it can be used.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fleet/failure.h"
#include "http/child_server.h"
#include "memory/shared_budget.h"

namespace quipu::fleet {

struct RunnerOptions {
  std::string program = "/proc/self/exe";
  std::string model;
  std::vector<std::string> projectors;
  int64_t num_ctx = 0;  // 0: the runner decides
  int64_t parallel = 1;
  std::string kv_cache_type;  // empty: the runner's default
  // Instead of those two where they do not fit; 0 and empty: nothing.
  int64_t wished_num_ctx = 0;
  std::string wished_kv_cache_type;
  int64_t threads = 0;  // 0: the runner decides
  // The budget it shares with others, and its slot there; null: it has one of its own.
  const memory::SharedBudget* budget = nullptr;
  size_t budget_slot = 0;
  // What it writes to standard error comes through the child's errors(); else it goes where ours goes.
  bool capture_errors = false;
};

// What a runner says when it can be used.
struct RunnerReady {
  int64_t load_ns = 0;
  Json info, memory;  // as GET /info and GET /memory; null where it did not say
};

// Starts loading. Threads: as ChildServer::spawn().
Result<std::unique_ptr<http::ChildServer>> spawn_runner(const RunnerOptions& options);

// When its output() is readable. Once: it is ready, or why it cannot be.
std::optional<Answer<RunnerReady>> read_ready(http::ChildServer& runner);

}  // namespace quipu::fleet
