// How many processors this process may really use.
#pragma once

#include <optional>
#include <string>

namespace quipu {

// CPUs that the cgroups of this process allow by quota (v1 cfs_quota, v2 cpu.max; the least of all ancestors); nothing if
// there is no quota. `root` is put in front of /proc and /sys, so that recorded trees can be tests.
std::optional<double> cgroup_cpu_quota(const std::string& root = "");

}  // namespace quipu
