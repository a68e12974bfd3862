#include "base/topology.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/thread_pool.h"

namespace quipu {
namespace {

// Cores of a made-up machine that a process with these processors may use.
int cores(const char* machine, const char* processors) {
  hwloc_topology_t topology = nullptr;
  EXPECT_EQ(hwloc_topology_init(&topology), 0);
  EXPECT_EQ(hwloc_topology_set_synthetic(topology, machine), 0);
  EXPECT_EQ(hwloc_topology_load(topology), 0);
  hwloc_bitmap_t mask = hwloc_bitmap_alloc();
  EXPECT_EQ(hwloc_bitmap_list_sscanf(mask, processors), 0);
  const int n = count_cores(topology, mask);
  hwloc_bitmap_free(mask);
  hwloc_topology_destroy(topology);
  return n;
}

TEST(Topology, HyperThreadsOfACoreCountOnce) {
  EXPECT_EQ(cores("pack:1 core:4 pu:2", "0-7"), 4);
  EXPECT_EQ(cores("pack:2 core:8 pu:1", "0-15"), 16);
}

TEST(Topology, OnlyCoresInTheMaskCount) {
  EXPECT_EQ(cores("pack:1 core:4 pu:2", "0-1"), 1);
  EXPECT_EQ(cores("pack:1 core:4 pu:2", "0,2"), 2);
  EXPECT_EQ(cores("pack:1 core:4 pu:2", "1,6-7"), 2);
  EXPECT_EQ(cores("pack:1 core:4 pu:2", "63"), 0);
}

TEST(Topology, AQuotaBoundsTheThreads) {
  EXPECT_EQ(threads_for(8, std::nullopt), 8);
  EXPECT_EQ(threads_for(8, 3.0), 3);
  EXPECT_EQ(threads_for(8, 2.9), 2) << "a third would be throttled with the others waiting for it";
  EXPECT_EQ(threads_for(8, 0.5), 1);
  EXPECT_EQ(threads_for(8, 64.0), 8);
  EXPECT_EQ(threads_for(8, 1e300), 8);
  EXPECT_EQ(threads_for(0, std::nullopt), 1);
}

TEST(Topology, TheAffinityMaskOfThisProcessCounts) {
  cpu_set_t all;
  ASSERT_EQ(sched_getaffinity(0, sizeof all, &all), 0);
  cpu_set_t one;
  CPU_ZERO(&one);
  for (size_t i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++i)
    if (CPU_ISSET(i, &all)) CPU_SET(i, &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  EXPECT_EQ(default_thread_count(), 1);
  ASSERT_EQ(sched_setaffinity(0, sizeof all, &all), 0);
  EXPECT_LE(default_thread_count(), CPU_COUNT(&all));
}

// A made-up /proc and /sys/fs/cgroup.
class CpuQuota : public testing::Test {
 protected:
  void SetUp() override {
    root_ = std::filesystem::temp_directory_path() / ("quipu-topology-" + std::to_string(getpid()));
    std::filesystem::remove_all(root_);
  }
  void TearDown() override { std::filesystem::remove_all(root_); }
  void write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  std::optional<double> quota() const { return cgroup_cpu_quota(root_.string()); }
  std::filesystem::path root_;
};

TEST_F(CpuQuota, NoneWithoutCgroups) {
  EXPECT_EQ(quota(), std::nullopt);
  write("proc/self/cgroup", "0::/\n");
  EXPECT_EQ(quota(), std::nullopt);
}

TEST_F(CpuQuota, V2TheLeastOfAllAncestors) {
  write("proc/self/cgroup", "0::/user.slice/user-1000.slice/app.scope\n");
  write("sys/fs/cgroup/user.slice/cpu.max", "300000 100000\n");
  write("sys/fs/cgroup/user.slice/user-1000.slice/cpu.max", "max 100000\n");
  EXPECT_EQ(quota(), 3.0);
  write("sys/fs/cgroup/user.slice/user-1000.slice/app.scope/cpu.max", "75000 50000\n");
  EXPECT_EQ(quota(), 1.5);
}

TEST_F(CpuQuota, V2InAContainerThatSeesItsGroupAsTheRoot) {
  write("proc/self/cgroup", "0::/\n");
  write("sys/fs/cgroup/cpu.max", "200000 100000\n");
  EXPECT_EQ(quota(), 2.0);
}

TEST_F(CpuQuota, V1WithAndWithoutALimit) {
  write("proc/self/cgroup", "11:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n");
  write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
  write("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(quota(), std::nullopt);
  write("sys/fs/cgroup/cpu/docker/abc/cpu.cfs_quota_us", "250000\n");
  write("sys/fs/cgroup/cpu/docker/abc/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(quota(), 2.5);
}

// In the container the group is mounted at the top, while /proc still names its path outside.
TEST_F(CpuQuota, V1InAContainer) {
  write("proc/self/cgroup", "4:cpuacct,cpu:/docker/abc\n");
  write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "400000\n");
  write("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(quota(), 4.0);
}

TEST_F(CpuQuota, MountsElsewhereAreFound) {
  write("proc/self/mountinfo", "36 31 0:33 /docker/abc /cg/cpu rw - cgroup cgroup rw,cpu,cpuacct\n");
  write("proc/self/cgroup", "4:cpu,cpuacct:/docker/abc/inner\n");
  write("cg/cpu/inner/cpu.cfs_quota_us", "150000\n");
  write("cg/cpu/inner/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(quota(), 1.5);
}

TEST_F(CpuQuota, GarbageIsNoQuota) {
  write("proc/self/cgroup", "nonsense\n::\n0::\n0::/a/../..\n5:cpuset:/b\n");
  write("sys/fs/cgroup/cpu.max", "many\n");
  write("sys/fs/cgroup/a/cpu.max", "100000 0\n");
  EXPECT_EQ(quota(), std::nullopt);
}

}  // namespace
}  // namespace quipu
