#include "base/topology.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <sstream>
#include <thread>

#include "base/cgroup_levels.h"
#include "base/kernel_file.h"
#include "base/thread_pool.h"

namespace quipu {

namespace {

// Physical cores with at least one processor in the affinity mask; 0 if hwloc cannot tell.
int allowed_cores() {
  hwloc_topology_t topology;
  if (hwloc_topology_init(&topology) != 0) return 0;
  // Cores are all that is asked for: caches, devices and memory need not be discovered.
  hwloc_topology_set_all_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_NONE);
  hwloc_topology_set_type_filter(topology, HWLOC_OBJ_CORE, HWLOC_TYPE_FILTER_KEEP_ALL);
  int cores = 0;
  if (hwloc_topology_load(topology) == 0) {
    hwloc_bitmap_t mask = hwloc_bitmap_alloc();
    if (hwloc_get_cpubind(topology, mask, HWLOC_CPUBIND_PROCESS) == 0) cores = count_cores(topology, mask);
    hwloc_bitmap_free(mask);
  }
  hwloc_topology_destroy(topology);
  return cores;
}

std::optional<double> quota_of(const std::string& dir, bool v2) {
  double quota = 0, period = 0;
  if (v2) {
    std::istringstream in(slurp(dir + "/cpu.max"));  // "max 100000" or "150000 100000"
    if (!(in >> quota >> period)) return std::nullopt;
  } else {
    std::istringstream q(slurp(dir + "/cpu.cfs_quota_us")), p(slurp(dir + "/cpu.cfs_period_us"));
    if (!(q >> quota) || !(p >> period)) return std::nullopt;
  }
  if (!(quota > 0) || !(period > 0)) return std::nullopt;  // v1 writes -1 for "none"
  return quota / period;
}

}  // namespace

std::optional<double> cgroup_cpu_quota(const std::string& root) {
  std::optional<double> least;
  for (const CgroupLevel& level : cgroup_levels(root, "cpu"))
    if (const auto q = quota_of(level.folder, level.v2)) least = std::min(least.value_or(*q), *q);
  return least;
}

int count_cores(hwloc_topology_t topology, hwloc_const_bitmap_t mask) {
  int cores = 0;
  hwloc_obj_t core = nullptr;
  while ((core = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_CORE, core)) != nullptr)
    cores += hwloc_bitmap_intersects(core->cpuset, mask) != 0;
  return cores;
}

// A thread more than the quota allows would be throttled with all the others waiting for it.
int threads_for(int cores, std::optional<double> quota) {
  if (quota && *quota < cores) cores = static_cast<int>(std::floor(*quota));
  return std::max(cores, 1);
}

int default_thread_count() {
  int cores = allowed_cores();
  if (cores <= 0) cores = static_cast<int>(std::thread::hardware_concurrency());
  return threads_for(cores, cgroup_cpu_quota());
}

}  // namespace quipu
