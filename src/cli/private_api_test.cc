#include "cli/private_api.h"

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

// A shell script stands for the server's process, and a server of the test's own answers at its socket.
class PrivateApiTest : public testing::Test {
 protected:
  PrivateApiTest() {
    std::string name = "/tmp/quipu-test-XXXXXX";  // short: a socket's path has its limit
    folder_ = mkdtemp(name.data());
    setenv("XDG_RUNTIME_DIR", folder_.c_str(), 1);
  }
  ~PrivateApiTest() override {
    api_.reset();
    server_.reset();
    fs::remove_all(folder_);
  }

  // then: what the process does once it is ready.
  PrivateApi& start(http::Handler handler, const std::string& then = kStaysAlive) {
    const http::Endpoint at{.path = folder_ / "real", .host = {}, .port = 0};
    auto server = http::Server::listen(at, {}, std::move(handler));
    EXPECT_TRUE(server) << server.error().message;
    server_ = std::move(*server);
    const fs::path program = folder_ / "program";
    std::ofstream(program) << "#!/bin/sh\necho x >> " << (folder_ / "starts").string() << "\nln -s "
                           << at.path << " \"$4\"\necho '{\"ready\":true,\"load_ns\":1234}'\n"
                           << then << "\n";
    fs::permissions(program, fs::perms::owner_all);
    api_ = std::make_unique<PrivateApi>(
        PrivateServerOptions{.program = program, .model = "m.gguf", .threads = 0}, console_.console());
    return *api_;
  }

  Result<void> stream(const Json& body = Json::object()) {
    text_.clear();
    return api_->stream(
        "/api/generate", body,
        [&](const Json& line) {
          text_ += text_of(line, "response");
          return text_.find("STOP") == std::string::npos;
        },
        [&] { return ++ticks_ < 2; });
  }

  long starts() const {
    std::ifstream in(folder_ / "starts");
    return std::count(std::istreambuf_iterator<char>(in), {}, '\n');
  }

  test::CapturedConsole console_;
  fs::path folder_;
  std::unique_ptr<http::Server> server_;
  std::unique_ptr<PrivateApi> api_;
  std::string text_;
  int ticks_ = 0;
};

TEST_F(PrivateApiTest, StartsOnce) {
  PrivateApi& api = start([](const std::shared_ptr<Exchange>& e) {
    e->respond(
        {.body = R"({"path":")" + e->request().target + R"(","method":")" + e->request().method + "\"}"});
  });
  const auto answer = api.call("GET", "/api/ps");
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->dump(), R"({"path":"/api/ps","method":"GET"})");
  ASSERT_TRUE(api.call("POST", "/api/show", Json::object()));
  EXPECT_EQ(starts(), 1);
  EXPECT_TRUE(api.version().is_quipu());
}

// The process that ends takes its connections with it; here the server has to be told.
TEST_F(PrivateApiTest, AServerThatDiesIsExplainedAndStartedAgain) {
  start(
      [this](const std::shared_ptr<Exchange>& e) {
        e->start(200, {});
        e->push("{\"response\":\"half\"}\n");
        if (starts() == 1) {
          std::ofstream(folder_ / "die");
          return e->abort();
        }
        e->push("{\"done\":true}\n");
        e->finish();
      },
      "if [ $(wc -l < " + (folder_ / "starts").string() + ") = 1 ]; then while ! [ -e " +
          (folder_ / "die").string() + " ]; do sleep 0.01; done; kill -11 $$; fi; read end");
  const auto died = stream();
  ASSERT_FALSE(died);
  EXPECT_EQ(text_, "half");
  EXPECT_EQ(died.error().code, Code::kUnavailable);
  EXPECT_EQ(died.error().message, "the private server was killed by signal 11 (Segmentation fault)");
  const auto again = stream();
  EXPECT_TRUE(again) << again.error().message;
  EXPECT_EQ(starts(), 2);
}

TEST_F(PrivateApiTest, CancellingHangsUp) {
  std::atomic<int> gone = 0;
  std::vector<std::shared_ptr<Exchange>> kept;
  start([&](const std::shared_ptr<Exchange>& e) {
    e->on_gone([&] { ++gone; });
    e->start(200, {});
    e->push(kept.empty() ? "{\"response\":\"STOP\"}\n" : "{\"response\":\"and then nothing\"}\n");
    kept.push_back(e);
  });
  for (const char* text : {"STOP", "and then nothing"}) {
    const auto result = stream();
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Code::kCancelled);
    EXPECT_EQ(text_, text);
  }
  while (gone != 2) usleep(1000);
  EXPECT_EQ(starts(), 1);
  server_.reset();
}

TEST_F(PrivateApiTest, ASignalEndsACall) {
  std::vector<std::shared_ptr<Exchange>> kept;
  PrivateApi& api = start([&](const std::shared_ptr<Exchange>& e) {
    kept.push_back(e);  // and no answer
    kill(getpid(), SIGINT);
  });
  const auto result = api.call("GET", "/api/ps");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::kCancelled);
  server_.reset();
}

}  // namespace

}  // namespace quipu::cli
