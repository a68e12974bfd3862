// How many processors this process may really use.
//
// Threads: pure functions of what the system says.
#pragma once

#include <hwloc.h>

#include <optional>
#include <string>

namespace quipu {

// Cores of a topology with at least one processor in the mask: two hyper-threads of a core do not count
// twice.
int count_cores(hwloc_topology_t topology, hwloc_const_bitmap_t mask);

// CPUs that the cgroups of this process allow by quota (v1 cfs_quota, v2 cpu.max; the least of all
// ancestors); nothing if there is no quota. `root` is put in front of /proc and /sys, so that recorded trees
// can be tests.
std::optional<double> cgroup_cpu_quota(const std::string& root = "");

// Threads for that many cores under that quota, at least 1.
int threads_for(int cores, std::optional<double> quota);

}  // namespace quipu
