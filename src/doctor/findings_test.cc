#include "doctor/findings.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace quipu::doctor {
namespace {

namespace fs = std::filesystem;

// A tree that stands for /proc and /sys.
class DoctorTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/doctor-XXXXXX";
    root_ = ::mkdtemp(name);
    unsetenv("QUIPU_THREADS");
    unsetenv("QUIPU_ISA");
  }
  void TearDown() override { fs::remove_all(root_); }

  void write(const std::string& path, const std::string& text) {
    fs::create_directories(fs::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text;
  }
  static Finding find(const std::vector<Finding>& all, const std::string& name) {
    for (const Finding& f : all)
      if (f.name == name) return f;
    ADD_FAILURE() << name;
    return {};
  }

  std::string root_;
};

TEST_F(DoctorTest, AMachineThatSaysNothingIsNoProblem) {
  const auto all = examine_processor(root_);
  for (const char* name : {"threads", "affinity", "cpu quota", "governor"})
    EXPECT_EQ(find(all, name).status, Status::kOk) << name;
  EXPECT_EQ(find(examine_memory({}, root_), "swap").text, "none");
  EXPECT_EQ(find(examine_memory({}, root_), "memory").status, Status::kWarn) << "there is none";
}

TEST_F(DoctorTest, WhatHoldsAProcessorBack) {
  write("/proc/self/status", "Name:\tx\nCpus_allowed:\t3\nCpus_allowed_list:\t0-1\n");
  write("/sys/devices/system/cpu/online", "0-7\n");
  write("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n");
  write("/sys/devices/system/cpu/cpu0/cpufreq/scaling_driver", "acpi-cpufreq\n");
  write("/proc/self/cgroup", "0::/\n");
  write("/sys/fs/cgroup/cpu.max", "150000 100000\n");
  const auto all = examine_processor(root_);
  for (const char* name : {"affinity", "cpu quota", "governor"}) {
    EXPECT_EQ(find(all, name).status, Status::kWarn) << name;
    EXPECT_FALSE(find(all, name).remedy.empty()) << name;
  }
  EXPECT_NE(find(all, "affinity").text.find("0-1 of 0-7"), std::string::npos);
  EXPECT_NE(find(all, "cpu quota").text.find("1.5"), std::string::npos);
  write("/sys/devices/system/cpu/cpu0/cpufreq/scaling_driver", "intel_pstate\n");
  EXPECT_EQ(find(examine_processor(root_), "governor").status, Status::kOk) << "there it is the usual one";
}

TEST_F(DoctorTest, SettingsThatMakeNoSense) {
  setenv("QUIPU_THREADS", "1024", 1);
  setenv("QUIPU_ISA", "abacus", 1);
  const auto all = examine_processor(root_);
  EXPECT_EQ(find(all, "threads").status, Status::kWarn);
  EXPECT_EQ(find(all, "isa").status, Status::kError);
  EXPECT_EQ(worst(all), Status::kError);
  unsetenv("QUIPU_THREADS");
  unsetenv("QUIPU_ISA");
}

TEST_F(DoctorTest, AnInstructionSetBelowTheBest) {
  const Isa all[] = {Isa::kScalar, Isa::kAvx2, Isa::kAvx512};
  for (const Isa best : all)
    for (const Isa used : all) {
      if (used > best) continue;
      const Finding f = examine_isa(used, best);
      const bool fine = used == best && best != Isa::kScalar;
      EXPECT_EQ(f.name, "isa");
      EXPECT_EQ(f.status, fine ? Status::kOk : Status::kWarn) << f.text;
      EXPECT_EQ(f.remedy.empty(), fine) << f.text;
    }
  const Finding below = examine_isa(Isa::kAvx2, Isa::kAvx512);
  EXPECT_EQ(below.text, "avx2 in use, this processor can do avx512");
  EXPECT_EQ(below.remedy, "unset QUIPU_ISA");
  EXPECT_EQ(examine_isa(Isa::kScalar, Isa::kAvx2).text, "scalar in use, this processor can do avx2");
  EXPECT_NE(examine_isa(Isa::kScalar, Isa::kScalar).text.find("no AVX2"), std::string::npos);
  EXPECT_EQ(examine_isa(Isa::kAvx512, Isa::kAvx512).text, "avx512, the best that this processor can do");
  // The setting is what counts.
  for (const Isa used : all) {
    if (used > best_isa()) continue;
    setenv("QUIPU_ISA", isa_name(used), 1);
    EXPECT_EQ(find(examine_processor(root_), "isa").text, examine_isa(used, best_isa()).text);
  }
  unsetenv("QUIPU_ISA");
}

TEST_F(DoctorTest, WhatTheBudgetComesOf) {
  memory::Machine machine{
      .total = uint64_t{64} << 30,
      .available = uint64_t{48} << 30,
      .terms = {{"MemAvailable", uint64_t{48} << 30}, {"cgroup /user.slice memory.max", uint64_t{20} << 30}},
      .limit = {},
      .reserve = uint64_t{3} << 30,
      .admitted = uint64_t{2} << 30};
  auto all = examine_memory(machine, root_);
  EXPECT_EQ(find(all, "memory").status, Status::kOk);
  EXPECT_EQ(find(all, "memory").text, "17.0 GiB for models, 15.0 GiB free, of 64.0 GiB");
  EXPECT_EQ(find(all, "budget").text,
            "MemAvailable 48.0 GiB, cgroup /user.slice memory.max 20.0 GiB, reserve 3.0 GiB");
  // Where it is little, the terms say which one to raise.
  machine.limit = uint64_t{5} << 29;
  all = examine_memory(machine, root_);
  EXPECT_EQ(find(all, "memory").status, Status::kWarn);
  EXPECT_EQ(find(all, "memory").text, "2.5 GiB for models, 512.0 MiB free, of 64.0 GiB");
  EXPECT_EQ(find(all, "memory").remedy, "raise QUIPU_MEMORY, or stop models (quipu stop)");
  EXPECT_TRUE(find(all, "budget").text.ends_with(", QUIPU_MEMORY 2.5 GiB")) << find(all, "budget").text;
  machine.terms[1].bytes = uint64_t{2} << 30;
  EXPECT_EQ(find(examine_memory(machine, root_), "memory").remedy,
            "end other programs, stop models (quipu stop), or raise the cgroup's limit");
}

TEST_F(DoctorTest, SwapInUse) {
  write("/proc/meminfo", "SwapTotal:  2097152 kB\nSwapFree:  1048576 kB\n");
  write("/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
  const auto all = examine_memory({}, root_);
  EXPECT_EQ(find(all, "swap").status, Status::kWarn);
  EXPECT_EQ(find(all, "swap").text, "1.0 GiB of 2.0 GiB in use");
  EXPECT_NE(find(all, "huge pages").text.find("madvise"), std::string::npos);
}

TEST_F(DoctorTest, WhoListens) {
  write("/proc/net/tcp",
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
        "   0: 0100007F:1234 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 77 1\n"
        "   1: 0100007F:2CAA 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 78 1\n"
        "   2: 0100007F:2CAA 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 79 "
        "1\nbad\n");
  write("/proc/42/comm", "ollama\n");
  fs::create_directories(root_ + "/proc/42/fd");
  fs::create_symlink("socket:[79]", root_ + "/proc/42/fd/3");
  EXPECT_EQ(examine_port(0x2CAA, true, root_).text, "11434: process 42 (ollama)");
  EXPECT_EQ(examine_port(0x1234, true, root_).text, "4660: a process of another user");
  const Finding held = examine_port(0x1234, false, root_);
  EXPECT_EQ(held.status, Status::kWarn);
  EXPECT_EQ(held.text, "4660: held by a process of another user, which serves no models");
  EXPECT_EQ(held.remedy, "stop it, or QUIPU_HOST=127.0.0.1:4661 for server and clients");
  for (const bool serves : {false, true}) {
    EXPECT_EQ(examine_port(1, serves, root_).text, "1: nobody listens");
    EXPECT_EQ(examine_port(1, serves, root_).status, Status::kOk);
  }
}

TEST_F(DoctorTest, TheStore) {
  EXPECT_EQ(examine_store(root_).status, Status::kOk);
  EXPECT_EQ(examine_store(root_ + "/none").status, Status::kOk);
  write("/file", "x");
  EXPECT_EQ(examine_store(root_ + "/file").text, root_ + "/file is no folder");
  const Finding below = examine_store(root_ + "/file/models");
  EXPECT_EQ(below.text, root_ + "/file/models cannot be reached: Not a directory");
  for (const Finding& f : {examine_store(root_ + "/file"), below}) {
    EXPECT_EQ(f.status, Status::kError);
    EXPECT_NE(f.remedy.find("QUIPU_MODELS"), std::string::npos) << f.remedy;
  }
}

TEST_F(DoctorTest, AStoreThatTheUserHasNoRightsTo) {
  const std::string store = root_ + "/store";
  fs::create_directory(store);
  fs::permissions(root_, fs::perms{0755});
  // Root may do everything; rights are asked of the real user.
  const bool root = ::getuid() == 0;
  const uid_t nobody = 65534;
  if (root && ::setresuid(nobody, static_cast<uid_t>(-1), static_cast<uid_t>(-1)) != 0)
    GTEST_SKIP() << "root cannot be another user here";
  const auto with = [&](mode_t mode) {
    EXPECT_EQ(::chmod(store.c_str(), mode), 0);
    return examine_store(store);
  };
  const Finding unreadable = with(0), readable = with(0555), writable = with(0777);
  if (root) {
    ASSERT_EQ(::setresuid(0, static_cast<uid_t>(-1), static_cast<uid_t>(-1)), 0);
  }

  EXPECT_EQ(unreadable.status, Status::kError);
  EXPECT_EQ(unreadable.text, store + " cannot be read by this user");
  EXPECT_EQ(unreadable.remedy, "give the user rights to it");
  EXPECT_EQ(readable.status, Status::kWarn);
  EXPECT_EQ(readable.text, store + " can be read, not written");
  EXPECT_EQ(readable.remedy, "models cannot be added: give the user rights");
  EXPECT_EQ(writable.status, Status::kOk);
  EXPECT_EQ(findings_json({unreadable, readable})["findings"][1]["remedy"], readable.remedy);
}

TEST_F(DoctorTest, AsJson) {
  const auto json = findings_json({{"a", Status::kOk, "fine"}, {"b", Status::kWarn, "bad", "mend it"}});
  EXPECT_EQ(json.dump(), R"({"status":"warn","findings":[{"name":"a","status":"ok","text":"fine"},)"
                         R"({"name":"b","status":"warn","text":"bad","remedy":"mend it"}]})");
}

}  // namespace
}  // namespace quipu::doctor
