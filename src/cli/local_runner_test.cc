#include "cli/local_runner.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "cli/test_console.h"
#include "http/server.h"

namespace quipu::cli {

namespace {

namespace fs = std::filesystem;
using http::Exchange;

constexpr const char* kStaysAlive = "read end";

// A shell script stands for the runner's process, and a server of the test's own answers at its socket.
class LocalRunnerTest : public testing::Test {
 protected:
  LocalRunnerTest() {
    std::string name = "/tmp/quipu-test-XXXXXX";  // short: a socket's path has its limit
    folder_ = mkdtemp(name.data());
    setenv("XDG_RUNTIME_DIR", folder_.c_str(), 1);
  }
  ~LocalRunnerTest() override {
    runner_.reset();
    server_.reset();
    fs::remove_all(folder_);
  }

  void program(const std::string& script) {
    const fs::path path = folder_ / "program";
    std::ofstream(path) << "#!/bin/sh\n" << script << "\n";
    fs::permissions(path, fs::perms::owner_all);
  }

  // then: what the process does once it is ready.
  LocalRunner& start(http::Handler handler, const std::string& then = kStaysAlive) {
    const http::Endpoint at{.path = folder_ / "real", .host = {}, .port = 0};
    auto server = http::Server::listen(at, {}, std::move(handler));
    EXPECT_TRUE(server) << server.error().message;
    server_ = std::move(*server);
    program("echo x >> " + (folder_ / "starts").string() + "\nln -s " + at.path +
            " \"$5\"\necho '{\"ready\":true,\"load_ns\":1234}'\n" + then);
    fleet::RunnerOptions options;
    options.program = folder_ / "program";
    options.model = "m.gguf";
    runner_ = std::make_unique<LocalRunner>(options, console_.console());
    return *runner_;
  }

  // A runner whose every answer consists of these pieces.
  LocalRunner& start_with(std::vector<std::string> pieces, const std::string& then = kStaysAlive) {
    return start(
        [pieces = std::move(pieces)](const std::shared_ptr<Exchange>& e) {
          e->start(200, {{"Content-Type", "application/x-ndjson"}});
          for (const std::string& piece : pieces) e->push(piece);
          e->finish();
        },
        then);
  }

  Result<Json> generate(const Json& request = Json::object()) {
    text_.clear();
    const auto on_text = [&](std::string_view piece) {
      text_ += piece;
      return text_.find("STOP") == std::string::npos;
    };
    const auto on_idle = [&] { return ++ticks_ < 2; };
    return runner_->generate(request, on_text, on_idle);
  }

  long starts() const {
    std::ifstream in(folder_ / "starts");
    return std::count(std::istreambuf_iterator<char>(in), {}, '\n');
  }

  test::CapturedConsole console_;
  fs::path folder_;
  std::unique_ptr<http::Server> server_;
  std::unique_ptr<LocalRunner> runner_;
  std::string text_;
  int ticks_ = 0;
};

TEST_F(LocalRunnerTest, GetsJson) {
  LocalRunner& runner = start([](const std::shared_ptr<Exchange>& e) {
    e->respond(
        {.body = R"({"path":")" + e->request().target + R"(","method":")" + e->request().method + "\"}"});
  });
  const auto answer = runner.get("/info");
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->dump(), R"({"path":"/info","method":"GET"})");
  EXPECT_EQ(runner.take_load_ns(), 1234);
  EXPECT_EQ(runner.take_load_ns(), 0);
  ASSERT_TRUE(runner.get("/memory"));
  EXPECT_EQ(starts(), 1);
}

TEST_F(LocalRunnerTest, RefusalsKeepTheirCodeAndSentence) {
  LocalRunner& runner = start([](const std::shared_ptr<Exchange>& e) {
    if (e->request().target == "/info") return e->respond({.status = 503, .body = "<html>"});
    if (e->request().target == "/memory") return e->respond({.body = "<html>"});
    e->respond({.status = 400, .body = R"({"error":"too long","code":"invalid_argument"})"});
  });
  const auto refused = generate();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kInvalidArgument);
  EXPECT_EQ(refused.error().message, "too long");
  EXPECT_EQ(text_, "");
  const auto odd = runner.get("/info");
  ASSERT_FALSE(odd);
  EXPECT_EQ(odd.error().message, "the runner answered with status 503");
  EXPECT_FALSE(runner.get("/memory"));
}

TEST_F(LocalRunnerTest, StreamsTextAndReturnsTheLastLine) {
  std::string body;
  start([&](const std::shared_ptr<Exchange>& e) {
    body = e->request().method + " " + e->request().target + " " + e->request().body;
    e->start(200, {});
    for (const char* piece :
         {"{\"text\":\"Hel", "lo\"}\n{\"text\":\"\"}\n", "{\"text\":\", w\\u00f6rld\"}\n{\"done\":true,",
          "\"stop\":\"eos\",\"generated_tokens\":3}\n"}) {
      e->push(piece);
    }
    e->finish();
  });
  const auto done = generate({{"prompt",
                               "a\xff"
                               "b"},
                              {"raw", true}});
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(text_, "Hello, wörld");
  EXPECT_EQ((*done)["stop"], "eos");
  EXPECT_EQ(body,
            "POST /generate {\"prompt\":\"a\xef\xbf\xbd"
            "b\",\"raw\":true}");
}

TEST_F(LocalRunnerTest, FailuresInTheMiddle) {
  start_with({"{\"started\":true,\"queued_ns\":1}\n{\"text\":\"half\"}\n", "{\"error\":\"no memory\",\"code\":\"out_of_memory\"}\n"});
  const auto failed = generate();
  ASSERT_FALSE(failed);
  EXPECT_EQ(text_, "half");
  EXPECT_EQ(failed.error().code, Code::kOutOfMemory);
  EXPECT_EQ(failed.error().message, "no memory");
}

TEST_F(LocalRunnerTest, LinesThatAreNotTheProtocols) {
  for (const char* bad : {"nonsense\n", "[1]\n", "{}\n", "{\"text\":1}\n",
                          "{\"done\":true}\n{\"text\":\"more\"}\n", "\xff\n"}) {
    start_with({bad});
    const auto result = generate();
    ASSERT_FALSE(result) << bad;
    EXPECT_EQ(result.error().code, Code::kInternal) << bad;
    runner_.reset();
    server_.reset();
  }
}

TEST_F(LocalRunnerTest, AnAnswerWithoutItsLastLine) {
  start_with({"{\"text\":\"half\"}\n"});
  const auto alive = generate();
  ASSERT_FALSE(alive);
  EXPECT_EQ(alive.error().code, Code::kUnavailable);
  EXPECT_EQ(alive.error().message, "the runner's answer ended before it was complete");
}

// The process that ends takes its connections with it; here the server has to be told.
TEST_F(LocalRunnerTest, ARunnerThatDiesIsExplainedAndStartedAgain) {
  start(
      [this](const std::shared_ptr<Exchange>& e) {
        e->start(200, {});
        e->push("{\"text\":\"half\"}\n");
        if (starts() == 1) {
          std::ofstream(folder_ / "die");
          return e->abort();
        }
        e->push("{\"done\":true}\n");
        e->finish();
      },
      "if [ $(wc -l < " + (folder_ / "starts").string() + ") = 1 ]; then while ! [ -e " +
          (folder_ / "die").string() + " ]; do sleep 0.01; done; kill -11 $$; fi; read end");
  const auto died = generate();
  ASSERT_FALSE(died);
  EXPECT_EQ(text_, "half");
  EXPECT_EQ(died.error().code, Code::kUnavailable);
  EXPECT_EQ(died.error().message, "the runner was killed by signal 11 (Segmentation fault)");
  const auto again = generate();
  EXPECT_TRUE(again) << again.error().message;
  EXPECT_EQ(starts(), 2);
}

TEST_F(LocalRunnerTest, CancellingHangsUp) {
  std::atomic<int> gone = 0;
  std::vector<std::shared_ptr<Exchange>> kept;
  start([&](const std::shared_ptr<Exchange>& e) {
    e->on_gone([&] { ++gone; });
    e->start(200, {});
    e->push(kept.empty() ? "{\"text\":\"STOP\"}\n" : "{\"text\":\"and then nothing\"}\n");
    kept.push_back(e);
  });
  for (const char* text : {"STOP", "and then nothing"}) {
    const auto result = generate();
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Code::kCancelled);
    EXPECT_EQ(text_, text);
  }
  while (gone != 2) usleep(1000);
  EXPECT_EQ(starts(), 1);
  server_.reset();
}

TEST_F(LocalRunnerTest, ASignalEndsALoad) {
  raise(SIGINT);  // it waits, blocked, until somebody looks
  LocalRunner& runner = start([](const std::shared_ptr<Exchange>&) {});
  program("exec sleep 60");
  const auto started = runner.ensure_running();
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, Code::kCancelled);
  for (const auto& entry : fs::directory_iterator(folder_))
    EXPECT_FALSE(entry.is_directory()) << entry.path();
}

TEST_F(LocalRunnerTest, ExplainsWhyTheModelIsNotLoaded) {
  LocalRunner& runner = start([](const std::shared_ptr<Exchange>&) {});
  program(
      R"(printf '%s\n' '{"ready":false,"error":"too large","code":"out_of_memory","plan":{},"table":"a\nb\n\n"}'; exit 1)");
  const auto refused = runner.ensure_running();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kOutOfMemory);
  EXPECT_EQ(refused.error().message, "too large\na\nb");
  program("kill -9 $$");
  EXPECT_EQ(runner.ensure_running().error().message,
            "the runner was killed by signal 9 (Killed); the system may have run out of memory");
  program("exit 7");
  EXPECT_EQ(runner.ensure_running().error().message, "the runner ended unexpectedly with status 7");
  program("echo nonsense");
  EXPECT_EQ(runner.ensure_running().error().code, Code::kInternal);
}

TEST_F(LocalRunnerTest, ASignalEndsAGet) {
  std::vector<std::shared_ptr<Exchange>> kept;
  LocalRunner& runner = start([&](const std::shared_ptr<Exchange>& e) {
    kept.push_back(e);  // and no answer
    kill(getpid(), SIGINT);
  });
  const auto result = runner.get("/info");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::kCancelled);
  server_.reset();
}

}  // namespace

}  // namespace quipu::cli
