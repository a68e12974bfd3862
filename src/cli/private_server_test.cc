#include "cli/private_server.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <fstream>

namespace quipu::cli {

namespace {

namespace fs = std::filesystem;

// A shell script stands for the server; $4 is the socket's path ("serve --private --socket PATH --model
// FILE").
class PrivateServerTest : public testing::Test {
 protected:
  PrivateServerTest() {
    std::string name = testing::TempDir() + "quipu-server-XXXXXX";
    folder_ = mkdtemp(name.data());
    setenv("XDG_RUNTIME_DIR", folder_.c_str(), 1);
  }
  ~PrivateServerTest() override { fs::remove_all(folder_); }

  Result<std::unique_ptr<PrivateServer>> start(const std::string& script) {
    const fs::path program = folder_ / "program";
    std::ofstream(program) << "#!/bin/sh\n" << script << "\n";
    fs::permissions(program, fs::perms::owner_all);
    PrivateServerOptions options;
    options.program = program;
    options.model = model_;
    options.threads = 3;
    return PrivateServer::start(options, signals_, [&] { ++ticks_; });
  }
  // Socket folders that are there now.
  long leftovers() const {
    long n = 0;
    for (const auto& entry : fs::directory_iterator(folder_)) n += entry.is_directory();
    return n;
  }

  SignalWatch signals_;
  fs::path folder_;
  std::string model_ = "m.gguf";
  int ticks_ = 0;
};

constexpr const char* kReady = "echo '{\"ready\":true,\"load_ns\":1234}'";

TEST_F(PrivateServerTest, StartsAndEnds) {
  auto p = start(std::string("echo \"$@\" > \"${0%/*}/args\"; touch \"$4\"; ") + kReady + "; read end");
  ASSERT_TRUE(p) << p.error().message;
  EXPECT_FALSE((*p)->death(0));
  const fs::path socket = (*p)->socket_path();
  struct stat facts{};
  ASSERT_EQ(stat(socket.parent_path().c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777, 0700u);
  std::ifstream args(folder_ / "args");
  std::string line;
  std::getline(args, line);
  EXPECT_EQ(line, "serve --private --socket " + socket.string() + " --model m.gguf --threads 3");
  const pid_t pid = (*p)->pid();
  p->reset();
  EXPECT_EQ(kill(pid, 0), -1);
  EXPECT_EQ(leftovers(), 0);
}

TEST_F(PrivateServerTest, ReportsWhyItCouldNotStart) {
  const auto p = start(R"(echo '{"ready":false,"error":"m.gguf: no GGUF file","code":"corrupt"}'; exit 1)");
  ASSERT_FALSE(p);
  EXPECT_EQ(p.error().message, "m.gguf: no GGUF file");
  EXPECT_EQ(p.error().code, Code::kCorrupt);
  EXPECT_EQ(leftovers(), 0);
}

TEST_F(PrivateServerTest, DiesWhileStarting) {
  const auto killed = start("kill -9 $$");
  ASSERT_FALSE(killed);
  EXPECT_EQ(killed.error().message,
            "the private server was killed by signal 9 (Killed); the system may have run out of memory");
  const auto ended = start("exit 7");
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().message, "the private server ended unexpectedly with status 7");
  EXPECT_FALSE(start("echo nonsense"));
  EXPECT_FALSE(start("echo '[1]'"));
  EXPECT_EQ(leftovers(), 0);
}

TEST_F(PrivateServerTest, DiesLater) {
  auto p = start(std::string(kReady) + "; kill -11 $$");
  ASSERT_TRUE(p);
  const auto why = (*p)->death(5000);
  ASSERT_TRUE(why);
  EXPECT_EQ(*why, "the private server was killed by signal 11 (Segmentation fault)");
}

TEST_F(PrivateServerTest, InterruptedWhileStarting) {
  raise(SIGINT);  // it waits, blocked, until somebody looks
  const auto p = start("exec sleep 60");
  ASSERT_FALSE(p);
  EXPECT_EQ(p.error().code, Code::kCancelled);
  EXPECT_EQ(leftovers(), 0);
}

TEST_F(PrivateServerTest, ChildHasUsualSignals) {
  // Read by the shell itself: while it starts another program it blocks signals.
  auto p = start(
      std::string("while read -r l; do case $l in SigBlk*|SigIgn*) echo \"$l\";; esac; done < /proc/$$/status"
                  " > \"${0%/*}/signals\"; ") +
      kReady + "; read end");
  ASSERT_TRUE(p) << p.error().message;
  std::ifstream in(folder_ / "signals");
  for (std::string line; std::getline(in, line);)
    EXPECT_EQ(std::stoull(line.substr(line.find(':') + 1), nullptr, 16) &
                  (1u << (SIGPIPE - 1) | 1u << (SIGINT - 1)),
              0u)
        << line;
}

TEST_F(PrivateServerTest, AFolderThatCannotBeUsedIsNotFatal) {
  setenv("XDG_RUNTIME_DIR", "/nowhere/at/all", 1);
  auto p = start(std::string(kReady) + "; read end");
  ASSERT_TRUE(p) << p.error().message;
  EXPECT_TRUE((*p)->socket_path().starts_with("/tmp/quipu-"));
}

TEST_F(PrivateServerTest, WithoutAModelItServesTheStore) {
  model_.clear();
  auto p = start(std::string("echo \"$@\" > \"${0%/*}/args\"; ") + kReady + "; read end");
  ASSERT_TRUE(p) << p.error().message;
  std::ifstream args(folder_ / "args");
  std::string line;
  std::getline(args, line);
  EXPECT_EQ(line, "serve --private --socket " + (*p)->socket_path() + " --threads 3");
}

TEST_F(PrivateServerTest, APlanThatDoesNotFitIsShown) {
  const auto p = start(
      R"(printf '%s\n' '{"ready":false,"error":"it needs 3 GiB","code":"out_of_memory","plan":{},"table":"weights 2 GiB\nfree 1 GiB\n"}')");
  ASSERT_FALSE(p);
  EXPECT_EQ(p.error().code, Code::kOutOfMemory);
  EXPECT_EQ(p.error().message, "it needs 3 GiB\nweights 2 GiB\nfree 1 GiB");
}

}  // namespace

}  // namespace quipu::cli
