// What this machine can give: MemAvailable, cgroup limits, physical memory. The root of /proc and
// /sys/fs/cgroup is a parameter so that recorded trees can be tests.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace quipu::memory {

struct BudgetTerm {
  std::string name;  // "MemAvailable", "cgroup /user.slice memory.max"
  uint64_t bytes;
};

struct Machine {
  uint64_t total = 0;             // physical memory
  uint64_t available = 0;         // what the kernel says could be had without swapping
  std::vector<BudgetTerm> terms;  // everything that bounds the budget; the least of them counts
  uint64_t budget() const;
};

Machine probe_machine(const std::string& root = "");

}  // namespace quipu::memory
