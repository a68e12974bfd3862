#include "memory/machine.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace quipu::memory {
namespace {

// A made-up /proc and /sys/fs/cgroup.
class Tree : public testing::Test {
 protected:
  void SetUp() override {
    root_ = std::filesystem::temp_directory_path() / ("quipu-machine-" + std::to_string(getpid()));
    std::filesystem::remove_all(root_);
    write("proc/meminfo",
          "MemTotal:       16000000 kB\nMemFree:         1000000 kB\nMemAvailable:    8000000 kB\n");
  }
  void TearDown() override { std::filesystem::remove_all(root_); }
  void write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  Machine probe() const { return probe_machine(root_.string()); }
  std::filesystem::path root_;
};

TEST_F(Tree, WithoutCgroupsMemAvailableIsTheBudget) {
  write("proc/self/cgroup", "0::/\n");
  const Machine m = probe();
  EXPECT_EQ(m.total, 16'000'000ull * 1024);
  EXPECT_EQ(m.budget(), 8'000'000ull * 1024);
}

TEST_F(Tree, WithoutMemAvailableItIsWhatIsFreeOrCached) {
  write("proc/meminfo",
        "MemTotal: 4000 kB\nMemFree: 1000 kB\nBuffers: 20 kB\nCached: 300 kB\nSwapCached: 7 kB\n");
  write("proc/self/cgroup", "0::/\n");
  EXPECT_EQ(probe().budget(), 1320u * 1024);
}

TEST_F(Tree, AContainerSeesItsOwnLimitAtTheTop) {
  write("proc/self/cgroup", "0::/\n");
  write("sys/fs/cgroup/memory.max", "3000000000\n");
  write("sys/fs/cgroup/memory.current", "1000000000\n");
  write("sys/fs/cgroup/memory.stat", "anon 100000000\ninactive_file 300000000\nactive_file 500000000\n");
  EXPECT_EQ(probe().budget(), 2'800'000'000u);
}

TEST_F(Tree, V1InAContainerWhosePathIsThatOfTheHost) {
  write("proc/self/cgroup", "9:memory:/docker/abc\n0::/\n");
  write("sys/fs/cgroup/memory/memory.limit_in_bytes", "2000000000\n");
  write("sys/fs/cgroup/memory/memory.usage_in_bytes", "500000000\n");
  EXPECT_EQ(probe().budget(), 1'500'000'000u);
}

TEST_F(Tree, NothingAtAllLeavesNothing) {
  std::filesystem::remove_all(root_);
  EXPECT_EQ(probe().budget(), 0u);
}

TEST_F(Tree, AV2LimitCountsLessWhatIsUsedBeyondTheFileCache) {
  write("proc/self/cgroup", "0::/user.slice/app\n");
  write("sys/fs/cgroup/user.slice/memory.max", "max\n");
  write("sys/fs/cgroup/user.slice/memory.current", "5000000000\n");
  write("sys/fs/cgroup/user.slice/app/memory.max", "4000000000\n");
  write("sys/fs/cgroup/user.slice/app/memory.current", "1500000000\n");
  write("sys/fs/cgroup/user.slice/app/memory.stat",
        "anon 500000000\ninactive_file 600000000\nactive_file 400000000\n");
  EXPECT_EQ(probe().budget(), 4'000'000'000ull - 500'000'000);
}

TEST_F(Tree, AnAncestorsLimitCountsToo) {
  write("proc/self/cgroup", "0::/a/b\n");
  write("sys/fs/cgroup/a/memory.max", "1000000000\n");
  write("sys/fs/cgroup/a/memory.current", "100000000\n");
  write("sys/fs/cgroup/a/b/memory.max", "max\n");
  EXPECT_EQ(probe().budget(), 900'000'000u);
}

TEST_F(Tree, V1LimitsAreReadFromTheMemoryController) {
  write("proc/self/cgroup", "4:cpu,cpuacct:/x\n9:memory:/docker/abc\n");
  write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  write("sys/fs/cgroup/memory/memory.usage_in_bytes", "1\n");
  write("sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", "2000000000\n");
  write("sys/fs/cgroup/memory/docker/abc/memory.usage_in_bytes", "1200000000\n");
  write("sys/fs/cgroup/memory/docker/abc/memory.stat",
        "cache 1\ntotal_inactive_file 700000000\ntotal_active_file 300000000\n");
  const Machine m = probe();
  EXPECT_EQ(m.budget(), 2'000'000'000ull - 200'000'000);
  EXPECT_EQ(m.terms.size(), 2u) << "an unlimited ancestor is no term";
}

TEST_F(Tree, UsageAboveTheLimitLeavesNothing) {
  write("proc/self/cgroup", "0::/a\n");
  write("sys/fs/cgroup/a/memory.max", "1000\n");
  write("sys/fs/cgroup/a/memory.current", "5000\n");
  EXPECT_EQ(probe().budget(), 0u);
}

TEST_F(Tree, GarbageIsNoTerm) {
  write("proc/self/cgroup", "no colons\n::\n0::\n");
  write("sys/fs/cgroup/memory.max", "not a number\n");
  EXPECT_EQ(probe().budget(), 8'000'000ull * 1024);
}

TEST(Machine, ThisOneHasMemory) {
  const Machine m = probe_machine();
  EXPECT_GT(m.total, 0u);
  EXPECT_GT(m.budget(), 0u);
}

}  // namespace
}  // namespace quipu::memory
