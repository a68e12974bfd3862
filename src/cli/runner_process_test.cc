#include "cli/runner_process.h"

#include <csignal>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "cli/runner_connection.h"

namespace quipu::cli {

namespace {

namespace fs = std::filesystem;

// A shell script stands for the runner; $5 is the socket's path ("runner --model FILE --socket PATH").
class RunnerProcessTest : public testing::Test {
 protected:
  RunnerProcessTest() {
    std::string name = testing::TempDir() + "quipu-runner-XXXXXX";
    folder_ = mkdtemp(name.data());
    setenv("XDG_RUNTIME_DIR", folder_.c_str(), 1);
  }
  ~RunnerProcessTest() override { fs::remove_all(folder_); }

  Result<std::unique_ptr<RunnerProcess>> start(const std::string& script) {
    const fs::path program = folder_ / "program";
    std::ofstream(program) << "#!/bin/sh\n" << script << "\n";
    fs::permissions(program, fs::perms::owner_all);
    RunnerOptions options;
    options.program = program;
    options.model = "m.gguf";
    options.num_ctx = 512;
    return RunnerProcess::start(options, signals_, [&] { ++ticks_; });
  }
  // Socket folders that are there now.
  long leftovers() const {
    long n = 0;
    for (const auto& entry : fs::directory_iterator(folder_)) n += entry.is_directory();
    return n;
  }

  SignalWatch signals_;
  fs::path folder_;
  int ticks_ = 0;
};

constexpr const char* kReady = "echo '{\"ready\":true,\"load_ns\":1234}'";

TEST_F(RunnerProcessTest, StartsAndEnds) {
  auto p = start(std::string("echo \"$@\" > \"${0%/*}/args\"; touch \"$5\"; ") + kReady + "; read end");
  ASSERT_TRUE(p) << p.error().message;
  EXPECT_EQ((*p)->load_ns(), 1234);
  EXPECT_FALSE((*p)->death(0));
  const fs::path socket = (*p)->socket_path();
  struct stat facts {};
  ASSERT_EQ(stat(socket.parent_path().c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777, 0700u);
  std::ifstream args(folder_ / "args");
  std::string line;
  std::getline(args, line);
  EXPECT_EQ(line, "runner --model m.gguf --socket " + socket.string() + " --parallel 1 --num-ctx 512");
  const pid_t pid = (*p)->pid();
  p->reset();
  EXPECT_EQ(kill(pid, 0), -1);
  EXPECT_EQ(leftovers(), 0);
}

TEST_F(RunnerProcessTest, ReportsWhyItCouldNotLoad) {
  const auto p = start(R"(echo '{"ready":false,"error":"m.gguf: no GGUF file","code":"corrupt"}'; exit 1)");
  ASSERT_FALSE(p);
  EXPECT_EQ(p.error().message, "m.gguf: no GGUF file");
  EXPECT_EQ(p.error().code, Code::kCorrupt);
  EXPECT_EQ(leftovers(), 0);
}

TEST_F(RunnerProcessTest, DiesWhileLoading) {
  const auto killed = start("kill -9 $$");
  ASSERT_FALSE(killed);
  EXPECT_EQ(killed.error().message, "the runner was killed by signal 9 (Killed); the system may have run out of memory");
  const auto ended = start("exit 7");
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().message, "the runner ended unexpectedly with status 7");
  EXPECT_FALSE(start("echo nonsense"));
  EXPECT_FALSE(start("echo '[1]'"));
  EXPECT_EQ(leftovers(), 0);
}

TEST_F(RunnerProcessTest, DiesLater) {
  auto p = start(std::string(kReady) + "; kill -11 $$");
  ASSERT_TRUE(p);
  const auto why = (*p)->death(5000);
  ASSERT_TRUE(why);
  EXPECT_EQ(*why, "the runner was killed by signal 11 (Segmentation fault)");
}

TEST_F(RunnerProcessTest, InterruptedWhileLoading) {
  raise(SIGINT);  // it waits, blocked, until somebody looks
  const auto p = start("exec sleep 60");
  ASSERT_FALSE(p);
  EXPECT_EQ(p.error().code, Code::kCancelled);
  EXPECT_EQ(leftovers(), 0);
}

TEST_F(RunnerProcessTest, ChildHasUsualSignals) {
  // Read by the shell itself: while it starts another program it blocks signals.
  auto p = start(std::string("while read -r l; do case $l in SigBlk*|SigIgn*) echo \"$l\";; esac; done < /proc/$$/status"
                             " > \"${0%/*}/signals\"; ") + kReady + "; read end");
  ASSERT_TRUE(p) << p.error().message;
  std::ifstream in(folder_ / "signals");
  for (std::string line; std::getline(in, line);)
    EXPECT_EQ(std::stoull(line.substr(line.find(':') + 1), nullptr, 16) & (1u << (SIGPIPE - 1) | 1u << (SIGINT - 1)), 0u) << line;
}

TEST_F(RunnerProcessTest, AFolderThatCannotBeUsedIsNotFatal) {
  setenv("XDG_RUNTIME_DIR", "/nowhere/at/all", 1);
  auto p = start(std::string(kReady) + "; read end");
  ASSERT_TRUE(p) << p.error().message;
  EXPECT_TRUE((*p)->socket_path().starts_with("/tmp/quipu-"));
}

TEST(RunnerError, ReadsCodeAndSentence) {
  const Error e = runner_error({{"error", "no"}, {"code", "out_of_memory"}}, "otherwise");
  EXPECT_EQ(e.code, Code::kOutOfMemory);
  EXPECT_EQ(e.message, "no");
  EXPECT_EQ(runner_error(Json::array(), "otherwise").message, "otherwise");
}

}  // namespace

}  // namespace quipu::cli
