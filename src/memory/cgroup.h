// What the cgroups that this process is in let it have, versions 1 and 2 and both at once.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "memory/machine.h"

namespace quipu::memory {

// One term for each limit of each ancestor: the limit less what the group uses, where neither file cache,
// which the kernel could drop, nor `ours` (anonymous memory of models, within that use) counts as used. A
// limit without a readable use counts whole. memory.high counts too: above it the kernel makes a group wait.
void add_cgroup_terms(const std::string& root, uint64_t ours, std::vector<BudgetTerm>& terms);

}  // namespace quipu::memory
