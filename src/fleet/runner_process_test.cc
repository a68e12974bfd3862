#include "fleet/runner_process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

namespace quipu::fleet {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

constexpr milliseconds kPatience{20'000};
constexpr const char* kReady =
    "echo '{\"ready\":true,\"load_ns\":1234,\"info\":{\"a\":1},\"memory\":{\"b\":2}}'";

// A shell script stands for the runner; $5 is the socket's path ("runner --model FILE --socket PATH").
class RunnerProcessTest : public testing::Test {
 protected:
  RunnerProcessTest() {
    std::string name = testing::TempDir() + "quipu-runner-XXXXXX";
    folder_ = mkdtemp(name.data());
    setenv("XDG_RUNTIME_DIR", folder_.c_str(), 1);
    options_.program = folder_ / "program";
    options_.model = "m.gguf";
  }
  ~RunnerProcessTest() override { fs::remove_all(folder_); }

  std::unique_ptr<http::ChildServer> spawn(const std::string& script) {
    std::ofstream(options_.program) << "#!/bin/sh\n" << script << "\n";
    fs::permissions(options_.program, fs::perms::owner_all);
    auto p = spawn_runner(options_);
    EXPECT_TRUE(p) << p.error().message;
    return p ? std::move(*p) : nullptr;
  }
  // What it says first; the end of its output is an error here.
  Answer<RunnerReady> wait_ready(http::ChildServer& p) {
    for (;;) {
      pollfd fd{.fd = p.output(), .events = POLLIN, .revents = 0};
      if (poll(&fd, 1, kPatience.count()) != 1) return failure(Code::kInternal, "nothing came");
      if (auto said = read_ready(p)) return *std::move(said);
      if (p.output_closed()) {
        EXPECT_TRUE(p.wait(kPatience));
        return failure(Code::kUnavailable, "{}", p.ending());
      }
    }
  }
  std::unique_ptr<http::ChildServer> start(const std::string& script) {
    auto p = spawn(script);
    const auto ready = wait_ready(*p);
    EXPECT_TRUE(ready) << ready.error().message;
    return p;
  }
  std::string file(const char* name) {
    std::ifstream in(folder_ / name);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  // Socket folders that are there now.
  long leftovers() const {
    long n = 0;
    for (const auto& entry : fs::directory_iterator(folder_)) n += entry.is_directory();
    return n;
  }

  fs::path folder_;
  RunnerOptions options_;
};

TEST_F(RunnerProcessTest, StartsAndEnds) {
  options_.num_ctx = 512;
  auto p = spawn(std::string("echo \"$@\" > \"${0%/*}/args\"; touch \"$5\"; ") + kReady + "; read end");
  const auto ready = wait_ready(*p);
  ASSERT_TRUE(ready) << ready.error().message;
  EXPECT_EQ(ready->load_ns, 1234);
  EXPECT_EQ(ready->info, Json({{"a", 1}}));
  EXPECT_EQ(ready->memory, Json({{"b", 2}}));
  EXPECT_FALSE(p->ended());
  EXPECT_GT(p->resident_bytes(), 0u);
  const fs::path socket = p->socket_path();
  struct stat facts{};
  ASSERT_EQ(stat(socket.parent_path().c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777, 0700u);
  EXPECT_EQ(file("args"),
            "runner --model m.gguf --socket " + socket.string() + " --parallel 1 --num-ctx 512\n");
  const pid_t pid = p->pid();
  p.reset();
  EXPECT_EQ(kill(pid, 0), -1);
  EXPECT_EQ(leftovers(), 0);
}

TEST_F(RunnerProcessTest, EveryFlag) {
  options_.parallel = 4;
  options_.kv_cache_type = "f32";
  options_.threads = 3;
  options_.projectors = {"p1", "p2"};
  start(std::string("echo \"$@\" > \"${0%/*}/args\"; ") + kReady + "; read end");
  const std::string args = file("args");
  EXPECT_TRUE(args.ends_with(" --parallel 4 --projector p1 --projector p2 --kv-cache-type f32 --threads 3\n"))
      << args;
}

TEST_F(RunnerProcessTest, ReportsWhyItCouldNotLoad) {
  auto p = spawn(
      R"(echo '{"ready":false,"error":"too large","code":"out_of_memory","plan":{"fits":"no"},"table":"t"}'
                    exit 1)");
  const auto refused = wait_ready(*p);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "too large");
  EXPECT_EQ(refused.error().code, Code::kOutOfMemory);
  EXPECT_EQ(refused.error().plan, Json({{"fits", "no"}}));
  EXPECT_EQ(refused.error().table, "t");
  p.reset();
  EXPECT_EQ(leftovers(), 0);
}

TEST_F(RunnerProcessTest, SaysSomethingElse) {
  for (const char* line : {"nonsense", "[1]", "{}", "{\"ready\":1}"}) {
    auto p = spawn(std::string("echo '") + line + "'");
    EXPECT_EQ(wait_ready(*p).error().code, Code::kInternal) << line;
  }
  auto p = spawn(std::string(kReady) + "; echo more; echo still more; read end");
  EXPECT_TRUE(wait_ready(*p));
  p->end();
  while (!p->output_closed()) EXPECT_FALSE(read_ready(*p));
}

TEST_F(RunnerProcessTest, DiesWhileLoading) {
  auto killed = spawn("kill -9 $$");
  EXPECT_EQ(wait_ready(*killed).error().message,
            "the runner was killed by signal 9 (Killed); the system may have run out of memory");
  auto ended = spawn("exit 7");
  EXPECT_EQ(wait_ready(*ended).error().message, "the runner ended unexpectedly with status 7");
  killed.reset();
  ended.reset();
  EXPECT_EQ(leftovers(), 0);
}

TEST_F(RunnerProcessTest, DiesLater) {
  auto p = start(std::string(kReady) + "; kill -11 $$");
  ASSERT_TRUE(p->wait(kPatience));
  EXPECT_EQ(p->ending(), "the runner was killed by signal 11 (Segmentation fault)");
}

TEST_F(RunnerProcessTest, ItsErrorsAreReadByLines) {
  options_.capture_errors = true;
  auto p = spawn(
      "echo one >&2; echo >&2; head -c 10000 /dev/zero | tr '\\0' x >&2; echo >&2; printf last >&2; exit 3");
  std::vector<std::string> lines;
  const auto take = [&](std::string_view line) { lines.emplace_back(line); };
  for (;;) {
    pollfd fd{.fd = p->errors(), .events = POLLIN, .revents = 0};
    ASSERT_EQ(poll(&fd, 1, kPatience.count()), 1);
    if (!p->read_errors(take)) break;
  }
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0], "one");
  EXPECT_EQ(lines[1], std::string(4096, 'x'));
  EXPECT_EQ(lines[2], "last");
  ASSERT_TRUE(p->wait(kPatience));
  EXPECT_EQ(p->ending(), "the runner ended unexpectedly with status 3: last");
}

TEST_F(RunnerProcessTest, OneThatDoesNotListenIsKilled) {
  auto p = start(std::string("trap '' TERM; ") + kReady + "; while :; do sleep 1; done");
  p->end();
  EXPECT_FALSE(p->wait(milliseconds(50)));
  p->kill();
  EXPECT_TRUE(p->wait(kPatience));
  p.reset();
  EXPECT_EQ(leftovers(), 0);
}

TEST_F(RunnerProcessTest, ChildHasUsualSignals) {
  std::signal(SIGPIPE, SIG_IGN);
  sigset_t blocked, before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGINT);
  pthread_sigmask(SIG_BLOCK, &blocked, &before);
  // Read by the shell itself: while it starts another program it blocks signals.
  start(
      std::string("while read -r l; do case $l in SigBlk*|SigIgn*) echo \"$l\";; esac; done < /proc/$$/status"
                  " > \"${0%/*}/signals\"; ") +
      kReady + "; read end");
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  std::signal(SIGPIPE, SIG_DFL);
  std::ifstream in(folder_ / "signals");
  int n = 0;
  for (std::string line; std::getline(in, line); ++n)
    EXPECT_EQ(std::stoull(line.substr(line.find(':') + 1), nullptr, 16) &
                  (1u << (SIGPIPE - 1) | 1u << (SIGINT - 1)),
              0u)
        << line;
  EXPECT_EQ(n, 2);
}

TEST_F(RunnerProcessTest, ChildHasNoDescriptorsOfOurs) {
  const int careless = open("/dev/null", O_RDONLY);  // without O_CLOEXEC
  ASSERT_GE(careless, 3);
  options_.capture_errors = true;
  // The shell opens the script itself, at 10 or above.
  start(
      std::string("for n in 3 4 5 6 7 8 9; do [ -e /proc/$$/fd/$n ] && echo $n >> \"${0%/*}/open\"; done; ") +
      kReady + "; read end");
  close(careless);
  EXPECT_EQ(file("open"), "");
}

TEST_F(RunnerProcessTest, AFolderThatCannotBeUsedIsNotFatal) {
  setenv("XDG_RUNTIME_DIR", "/nowhere/at/all", 1);
  auto p = start(std::string(kReady) + "; read end");
  EXPECT_TRUE(p->socket_path().starts_with("/tmp/quipu-"));
}

TEST_F(RunnerProcessTest, AProgramThatIsNotThere) {
  options_.program = folder_ / "nothing";
  const auto p = spawn_runner(options_);
  ASSERT_FALSE(p);
  EXPECT_EQ(p.error().code, Code::kIo);
  EXPECT_EQ(leftovers(), 0);
}

}  // namespace
}  // namespace quipu::fleet
