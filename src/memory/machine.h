// What this machine can give to models: MemAvailable, cgroup limits, what the user allows. The root of /proc
// and /sys/fs/cgroup is a parameter so that recorded trees can be tests.
//
// capacity: what would be available if none of our models were loaded. budget: what models may have of that,
// all together. free: what is left of the budget beside what the loaded ones are charged (memory::charge).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/units.h"

namespace quipu::memory {

// What the user allows: QUIPU_MEMORY and QUIPU_MEMORY_RESERVE, each a size or a percentage of physical
// memory.
struct Bounds {
  std::optional<ByteShare> memory = {};   // absent (in the variable 0, too): all there is but for the reserve
  std::optional<ByteShare> reserve = {};  // absent: the larger of 512 MiB and 5 %

  static constexpr const char* kMemoryVariable = "QUIPU_MEMORY";
  static constexpr const char* kReserveVariable = "QUIPU_MEMORY_RESERVE";
  // kInvalidArgument names the variable.
  static Result<Bounds> from_environment();
};

struct BudgetTerm {
  std::string name;  // "MemAvailable", "cgroup /user.slice memory.max"
  uint64_t bytes;
};

struct Machine {
  uint64_t total = 0;             // physical memory
  uint64_t available = 0;         // what the kernel says could be had without swapping
  std::vector<BudgetTerm> terms;  // everything that bounds the capacity; the least of them counts
  std::optional<uint64_t> limit;  // QUIPU_MEMORY
  uint64_t reserve = 0;           // kept for everybody else where there is no limit
  uint64_t admitted = 0;          // what all loaded models are charged

  uint64_t capacity() const;
  uint64_t budget() const;
  uint64_t free() const;
  // `terms`, and "QUIPU_MEMORY" or "reserve": all that the budget comes of.
  std::vector<BudgetTerm> all_terms() const;
};

struct Probe {
  std::string root = {};  // in front of /proc and /sys
  Bounds bounds = {};
  // Processes that hold our models. Their anonymous memory would be available without them; their mapped
  // files count as available already. They are taken to be in the cgroups of this process.
  std::vector<pid_t> runners = {};
};

// Swap is no memory here. What the system does not say counts as nothing: of a machine that shows nothing at
// all the budget is 0.
Machine probe_machine(const Probe& probe = {});

// Anonymous memory of a process; 0 where it is gone.
uint64_t anonymous_bytes(pid_t pid, const std::string& root = "");

}  // namespace quipu::memory
