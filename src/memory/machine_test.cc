#include "memory/machine.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/test_data.h"

namespace quipu::memory {
namespace {

constexpr uint64_t kMiB = 1 << 20;

// A /proc and /sys/fs/cgroup, made up or recorded.
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
  void write_v1(const std::string& group, const std::string& limit, const std::string& usage,
                const std::string& stat = "") {
    write("sys/fs/cgroup/memory" + group + "/memory.limit_in_bytes", limit + "\n");
    write("sys/fs/cgroup/memory" + group + "/memory.usage_in_bytes", usage + "\n");
    write("sys/fs/cgroup/memory" + group + "/memory.stat", stat);
  }
  void write_v2(const std::string& group, const std::string& max, const std::string& current,
                const std::string& stat = "") {
    write("sys/fs/cgroup" + group + "/memory.max", max + "\n");
    write("sys/fs/cgroup" + group + "/memory.current", current + "\n");
    write("sys/fs/cgroup" + group + "/memory.stat", stat);
  }
  // testdata/cgroup/NAME.txt, whose process is a runner.
  void unpack(const std::string& name, pid_t runner) {
    std::string path, text;
    const auto end_file = [&] {
      if (!path.empty()) write(path, text);
      text.clear();
    };
    for (const std::string& line : test::lines(test::read_file(QUIPU_TESTDATA "/cgroup/" + name + ".txt"))) {
      if (line.starts_with("== /")) {
        end_file();
        path = line.substr(4);
      } else {
        text += line + "\n";
      }
    }
    end_file();
    runners_.push_back(runner);
  }
  // A runner with so much anonymous memory.
  void write_runner(pid_t pid, uint64_t anonymous_kb) {
    write("proc/" + std::to_string(pid) + "/status", "Name:\tquipu\nVmRSS:\t  9999999 kB\nRssAnon:\t" +
                                                         std::to_string(anonymous_kb) +
                                                         " kB\nRssFile:\t 5000 kB\n");
    runners_.push_back(pid);
  }
  Machine probe(Bounds bounds = {}) const {
    return probe_machine({.root = root_.string(), .bounds = bounds, .runners = runners_});
  }
  uint64_t capacity() const { return probe().capacity(); }

  std::filesystem::path root_;
  std::vector<pid_t> runners_;
};

TEST_F(Tree, WithoutCgroupsMemAvailableIsTheCapacity) {
  write("proc/self/cgroup", "0::/\n");
  const Machine m = probe();
  EXPECT_EQ(m.total, 16'000'000ull * 1024);
  EXPECT_EQ(m.available, 8'000'000ull * 1024);
  EXPECT_EQ(m.capacity(), 8'000'000ull * 1024);
}

TEST_F(Tree, WithoutMemAvailableItIsWhatIsFreeOrCached) {
  write("proc/meminfo",
        "MemTotal: 4000 kB\nMemFree: 1000 kB\nBuffers: 20 kB\nCached: 300 kB\nSwapCached: 7 kB\nShmem: 50 "
        "kB\n");
  EXPECT_EQ(capacity(), 1270u * 1024);
}

// ---- the budget

TEST_F(Tree, AnAutomaticBudgetLeavesAReserve) {
  EXPECT_EQ(probe().reserve, 16'000'000ull * 1024 / 20) << "5 % of a large machine";
  EXPECT_EQ(probe().budget(), 7'200'000ull * 1024);
  write("proc/meminfo", "MemTotal: 4000000 kB\nMemAvailable: 3000000 kB\n");
  EXPECT_EQ(probe().reserve, 512 * kMiB) << "more of a small one";
  EXPECT_EQ(probe().budget(), 3'000'000ull * 1024 - 512 * kMiB);
  write("proc/meminfo", "MemTotal: 4000000 kB\nMemAvailable: 100000 kB\n");
  EXPECT_EQ(probe().budget(), 0u);
}

TEST_F(Tree, BothBoundsCanBeGiven) {
  const auto share = [](const char* text) { return parse_byte_share(text).value(); };
  EXPECT_EQ(probe({.reserve = share("1000MiB")}).budget(), 8'000'000ull * 1024 - 1000 * kMiB);
  EXPECT_EQ(probe({.reserve = share("0")}).budget(), 8'000'000ull * 1024);
  EXPECT_EQ(probe({.reserve = share("10%")}).budget(), 6'400'000ull * 1024) << "of physical memory";
  EXPECT_EQ(probe({.memory = share("2GiB")}).budget(), 2048 * kMiB);
  EXPECT_EQ(probe({.memory = share("25%")}).budget(), 4'000'000ull * 1024);
  EXPECT_EQ(probe({.memory = share("60%")}).budget(), 8'000'000ull * 1024) << "no more than there is";
  EXPECT_EQ(probe({.memory = share("2GiB"), .reserve = share("7GiB")}).budget(), 2048 * kMiB)
      << "the reserve is of the automatic budget";
}

TEST_F(Tree, WhatIsAdmittedIsNotFree) {
  Machine m = probe({.memory = ByteShare{.bytes = 1000}});
  m.admitted = 400;
  EXPECT_EQ(m.free(), 600u);
  m.admitted = UINT64_MAX;
  EXPECT_EQ(m.free(), 0u);
}

TEST_F(Tree, TheBudgetsTermsHaveNames) {
  write("proc/self/cgroup", "0::/app\n");
  write_v2("/app", "4000000000", "0");
  const auto terms = probe().all_terms();
  ASSERT_EQ(terms.size(), 3u);
  EXPECT_EQ(terms[0].name, "MemAvailable");
  EXPECT_EQ(terms[1].name, "cgroup /app memory.max");
  EXPECT_EQ(terms[1].bytes, 4'000'000'000u);
  EXPECT_EQ(terms[2].name, "reserve");
  const auto given = probe({.memory = ByteShare{.bytes = 7}}).all_terms();
  EXPECT_EQ(given.back().name, "QUIPU_MEMORY");
  EXPECT_EQ(given.back().bytes, 7u);
}

// ---- our own models

TEST_F(Tree, AnonymousMemoryOfOurModelsWouldBeAvailable) {
  write_runner(71, 1'000'000);
  write_runner(72, 500'000);
  runners_.push_back(73);  // gone
  EXPECT_EQ(capacity(), 9'500'000ull * 1024);
  EXPECT_EQ(probe().available, 8'000'000ull * 1024) << "as the kernel says it";
}

TEST_F(Tree, AndIsNotWhatACgroupUses) {
  write("proc/self/cgroup", "0::/app\n");
  write_v2("/app", "2000000000", "1800000000", "inactive_file 300000000\nactive_file 100000000\n");
  EXPECT_EQ(capacity(), 600'000'000u);
  write_runner(71, 500'000);
  EXPECT_EQ(capacity(), 600'000'000u + 512'000'000u);
  write_runner(72, 5'000'000);
  EXPECT_EQ(capacity(), 2'000'000'000u) << "never more than the limit";
}

// ---- version 2

TEST_F(Tree, AContainerSeesItsOwnLimitAtTheTop) {
  write("proc/self/cgroup", "0::/\n");
  write_v2("", "3000000000", "1000000000",
           "anon 100000000\ninactive_file 300000000\nactive_file 500000000\n");
  EXPECT_EQ(capacity(), 2'800'000'000u);
}

TEST_F(Tree, AV2LimitCountsLessWhatIsUsedBeyondTheFileCache) {
  write("proc/self/cgroup", "0::/user.slice/app\n");
  write_v2("/user.slice", "max", "5000000000");
  write_v2("/user.slice/app", "4000000000", "1500000000",
           "anon 500000000\ninactive_file 600000000\nactive_file 400000000\n");
  EXPECT_EQ(capacity(), 4'000'000'000ull - 500'000'000);
}

TEST_F(Tree, OfNestedLimitsTheTightestCounts) {
  write("proc/self/cgroup", "0::/a/b/c\n");
  write_v2("/a", "1000000000", "100000000");
  write_v2("/a/b", "max", "1");
  write_v2("/a/b/c", "5000000000", "1");
  EXPECT_EQ(capacity(), 900'000'000u);
  EXPECT_EQ(probe().terms.size(), 3u);
  write_v2("/a/b", "800000000", "100000000");
  EXPECT_EQ(capacity(), 700'000'000u);
}

TEST_F(Tree, MemoryHighIsALimitToo) {
  write("proc/self/cgroup", "0::/a\n");
  write_v2("/a", "2000000000", "100000000", "inactive_file 40000000\n");
  write("sys/fs/cgroup/a/memory.high", "1500000000\n");
  EXPECT_EQ(capacity(), 1'440'000'000u);
  EXPECT_EQ(probe().terms.back().name, "cgroup /a memory.high");
  write("sys/fs/cgroup/a/memory.high", "max\n");
  EXPECT_EQ(capacity(), 1'940'000'000u);
}

TEST_F(Tree, SwapIsNoMemory) {
  write("proc/meminfo",
        "MemTotal: 4000000 kB\nMemAvailable: 3000000 kB\nSwapTotal: 9000000 kB\nSwapFree: 9000000 kB\n");
  write("proc/self/cgroup", "0::/a\n");
  write_v2("/a", "2000000000", "500000000");
  write("sys/fs/cgroup/a/memory.swap.max", "1000\n");
  write("sys/fs/cgroup/a/memory.swap.current", "900\n");
  EXPECT_EQ(capacity(), 1'500'000'000u);
}

// ---- version 1

TEST_F(Tree, V1LimitsAreReadFromTheMemoryController) {
  write("proc/self/cgroup", "4:cpu,cpuacct:/x\n9:memory:/docker/abc\n");
  write_v1("", "9223372036854771712", "1");
  write_v1("/docker/abc", "2000000000", "1200000000",
           "cache 1\ninactive_file 5\nactive_file 5\ntotal_inactive_file 700000000\ntotal_active_file "
           "300000000\n");
  EXPECT_EQ(capacity(), 2'000'000'000ull - 200'000'000);
  EXPECT_EQ(probe().terms.size(), 2u) << "an unlimited ancestor is no term";
}

TEST_F(Tree, V1InAContainerWhosePathIsThatOfTheHost) {
  write("proc/self/cgroup", "9:memory:/docker/abc\n0::/\n");
  write_v1("", "2000000000", "500000000");
  EXPECT_EQ(capacity(), 1'500'000'000u);
}

TEST_F(Tree, V1WithoutTotalsOfFileCache) {
  write("proc/self/cgroup", "9:memory:/a\n");
  write_v1("/a", "2000000000", "500000000", "inactive_file 100000000\nactive_file 200000000\n");
  EXPECT_EQ(capacity(), 1'800'000'000u);
}

TEST_F(Tree, V1MemoryAndSwapTogetherIsALimitToo) {
  write("proc/self/cgroup", "9:memory:/a\n");
  write_v1("/a", "2000000000", "500000000");
  write("sys/fs/cgroup/memory/a/memory.memsw.limit_in_bytes", "2100000000\n");
  write("sys/fs/cgroup/memory/a/memory.memsw.usage_in_bytes", "1900000000\n");
  EXPECT_EQ(capacity(), 200'000'000u);
}

TEST_F(Tree, V1AncestorsThatDoNotCountTheirChildrenDoNotBoundThem) {
  write("proc/self/cgroup", "9:memory:/a/b\n");
  write_v1("/a/b", "2000000000", "0");
  write_v1("/a", "1000000000", "0");
  write("sys/fs/cgroup/memory/a/memory.use_hierarchy", "1\n");
  EXPECT_EQ(capacity(), 1'000'000'000u);
  write("sys/fs/cgroup/memory/a/memory.use_hierarchy", "0\n");
  EXPECT_EQ(capacity(), 2'000'000'000u);
}

// ---- where they are mounted

TEST_F(Tree, BothVersionsAtOnce) {
  write("proc/self/cgroup", "9:memory:/a\n1:name=systemd:/a\n0::/b\n");
  write_v1("/a", "2000000000", "500000000");
  write_v2("/unified/b", "1800000000", "500000000");
  EXPECT_EQ(capacity(), 1'300'000'000u);
  write_v1("/a", "1200000000", "500000000");
  EXPECT_EQ(capacity(), 700'000'000u);
}

TEST_F(Tree, MountsElsewhereAreFound) {
  write("proc/self/mountinfo",
        "22 1 0:5 / /proc rw - proc proc rw\n"
        "35 31 0:32 /docker/abc /cg\\040roups/mem rw,relatime shared:9 master:3 - cgroup cgroup rw,memory\n"
        "36 31 0:33 / /cg/cpu rw - cgroup cgroup rw,cpu\n"
        "37 31 0:34 / /cg/two rw - cgroup2 cgroup2 rw\n");
  write("proc/self/cgroup", "9:memory:/docker/abc/inner\n0::/x\n");
  write("cg roups/mem/inner/memory.limit_in_bytes", "3000000000\n");
  EXPECT_EQ(capacity(), 3'000'000'000u)
      << "the part of the path that the mount shows as its root is not there";
  write("cg roups/mem/memory.limit_in_bytes", "2000000000\n");
  EXPECT_EQ(capacity(), 2'000'000'000u);
  write("cg/two/x/memory.max", "1000000000\n");
  EXPECT_EQ(capacity(), 1'000'000'000u);
}

TEST_F(Tree, WhatIsOutsideOfANamespaceIsBoundedByTheTop) {
  write("proc/self/cgroup", "0::/../../etc\n");
  write("etc/memory.max", "5\n");
  write_v2("", "1000000000", "0");
  EXPECT_EQ(capacity(), 1'000'000'000u);
}

// ---- as kernels write them

TEST_F(Tree, RecordedVersion1) {
  unpack("v1", 19242);
  const Machine m = probe();
  ASSERT_EQ(m.terms.size(), 3u) << "the root has no limit, nor has swap";
  EXPECT_EQ(m.total, 24'684'096ull * 1024);
  constexpr uint64_t kOurs = 314'748ull * 1024, kFile = 200 * kMiB;
  EXPECT_EQ(m.terms[0].bytes, 23'310'596ull * 1024 + kOurs);
  EXPECT_EQ(m.terms[1].name, "cgroup /quipu.slice/app memory.limit_in_bytes");
  EXPECT_EQ(m.terms[1].bytes, 2048 * kMiB - (533'377'024 - kFile - kOurs));
  EXPECT_EQ(m.terms[2].name, "cgroup /quipu.slice memory.limit_in_bytes");
  EXPECT_EQ(m.terms[2].bytes, 4096 * kMiB - (533'639'168 - kFile - kOurs))
      << "its file cache is that of the group below";
}

TEST_F(Tree, RecordedVersion2) {
  unpack("v2", 604);
  const Machine m = probe();
  ASSERT_EQ(m.terms.size(), 4u) << "the root has no limit";
  constexpr uint64_t kOurs = 315'780ull * 1024, kFile = 200 * kMiB;
  EXPECT_EQ(m.terms[0].bytes, 131'124'308ull * 1024 + kOurs);
  EXPECT_EQ(m.terms[1].name, "cgroup /quipu.slice/app memory.max");
  EXPECT_EQ(m.terms[1].bytes, 2048 * kMiB - (534'573'056 - kFile - kOurs));
  EXPECT_EQ(m.terms[2].name, "cgroup /quipu.slice memory.max");
  EXPECT_EQ(m.terms[2].bytes, 4096 * kMiB - (534'831'104 - kFile - kOurs));
  EXPECT_EQ(m.terms[3].name, "cgroup /quipu.slice memory.high");
  EXPECT_EQ(m.capacity(), 1024 * kMiB - (534'831'104 - kFile - kOurs));
}

// ---- what is odd

TEST_F(Tree, NothingAtAllLeavesNothing) {
  std::filesystem::remove_all(root_);
  EXPECT_EQ(probe().capacity(), 0u);
  EXPECT_EQ(probe().budget(), 0u);
  EXPECT_EQ(probe({.memory = parse_byte_share("50%").value()}).budget(), 0u);
}

TEST_F(Tree, UsageAboveTheLimitLeavesNothing) {
  write("proc/self/cgroup", "0::/a\n");
  write_v2("/a", "1000", "5000");
  EXPECT_EQ(probe().budget(), 0u);
}

TEST_F(Tree, ALimitWithoutUsageCountsWhole) {
  write("proc/self/cgroup", "0::/a\n");
  write("sys/fs/cgroup/a/memory.max", "1000000\n");
  EXPECT_EQ(capacity(), 1'000'000u);
  write("sys/fs/cgroup/a/memory.current", "plenty\n");
  EXPECT_EQ(capacity(), 1'000'000u);
}

TEST_F(Tree, GarbageIsNoTerm) {
  write("proc/self/cgroup", "no colons\n::\n0::\n0:\n:\n7::/a\n0:memory\n\n0::relative/path\n");
  for (const char* bad :
       {"not a number", "", "-1", "-9223372036854775808", "max 5", "99999999999999999999999"}) {
    write("sys/fs/cgroup/memory.max", std::string(bad) + "\n");
    EXPECT_EQ(capacity(), 8'000'000ull * 1024) << bad;
    EXPECT_EQ(probe().terms.size(), 1u) << bad;
  }
  write(
      "proc/self/cgroup", "0::/" + std::string(100'000, 'x') + "\n0::" + [] {
        std::string deep;
        for (int i = 0; i < 2000; ++i) deep += "/a";
        return deep;
      }() + "\n");
  EXPECT_EQ(capacity(), 8'000'000ull * 1024);
}

TEST_F(Tree, NumbersThatAreTooLargeDoNotOverflow) {
  const std::string huge = "99999999999999999999999", most = std::to_string(UINT64_MAX);
  write("proc/meminfo", "MemTotal: " + most + " kB\nMemAvailable: " + huge + " kB\n");
  write_runner(71, UINT64_MAX / 1024 - 5);
  write_runner(72, UINT64_MAX / 1024 - 5);
  EXPECT_EQ(capacity(), UINT64_MAX);
  EXPECT_EQ(probe({.memory = parse_byte_share("100%").value()}).budget(), UINT64_MAX);
  runners_.clear();
  write("proc/self/cgroup", "0::/a\n");
  write_v2("/a", "1000", huge, "inactive_file " + huge + "\nactive_file " + most + "\n");
  EXPECT_EQ(capacity(), 1000u);
  write_v2("/a", "1000", huge, "inactive_file 10\n");
  EXPECT_EQ(capacity(), 0u);
}

TEST_F(Tree, AGroupsNameIsShownAsText) {
  write("proc/self/cgroup", "0::/a\x01\xff\n");
  write_v2("/a\x01\xff", "1000", "0");
  EXPECT_EQ(probe().terms.back().name, "cgroup /a?? memory.max");
}

TEST(Machine, ThisOneHasMemory) {
  const Machine m = probe_machine({.runners = {getpid()}});
  EXPECT_GT(m.total, 0u);
  EXPECT_GT(m.capacity(), 0u);
  EXPECT_GT(anonymous_bytes(getpid()), 0u);
}

TEST(Bounds, ComeFromTheEnvironment) {
  unsetenv("QUIPU_MEMORY");
  unsetenv("QUIPU_MEMORY_RESERVE");
  const auto none = Bounds::from_environment();
  ASSERT_TRUE(none);
  EXPECT_FALSE(none->memory || none->reserve);
  setenv("QUIPU_MEMORY", " '8GB' ", 1);
  setenv("QUIPU_MEMORY_RESERVE", "0", 1);
  const auto given = Bounds::from_environment();
  ASSERT_TRUE(given) << given.error().message;
  EXPECT_EQ(given->memory->of(1), 8'000'000'000u);
  ASSERT_TRUE(given->reserve) << "0 is a reserve of nothing";
  EXPECT_EQ(given->reserve->of(1), 0u);
  setenv("QUIPU_MEMORY", "0", 1);
  EXPECT_FALSE(Bounds::from_environment()->memory) << "0 is automatic";
  setenv("QUIPU_MEMORY", "lots", 1);
  const auto bad = Bounds::from_environment();
  ASSERT_FALSE(bad);
  EXPECT_NE(bad.error().message.find("QUIPU_MEMORY"), std::string::npos) << bad.error().message;
  unsetenv("QUIPU_MEMORY");
  unsetenv("QUIPU_MEMORY_RESERVE");
}

}  // namespace
}  // namespace quipu::memory
