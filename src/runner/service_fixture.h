// A service over a real socket, and ways to ask it. Tests only.
#pragma once

#include <functional>
#include <future>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "http/client.h"
#include "http/socket.h"
#include "runner/service.h"
#include "runner/test_model.h"

namespace quipu::runner::test {

using std::chrono::milliseconds;

// Nothing here depends on how long something takes; this is when a test that hangs gives up.
inline constexpr milliseconds kPatience{60'000};

class ServiceTest : public WithModel {
 protected:
  void SetUp() override {
    auto service = Service::start(model(), socket().path);
    ASSERT_TRUE(service) << service.error().message;
    service_ = std::move(*service);
  }
  void TearDown() override {
    service_.reset();
    ASSERT_TRUE(model().engine().fill(0, 1));  // no test finds another's conversations
  }

  static http::Endpoint socket() { return {.path = folder() / "s", .host = {}, .port = 0}; }

  static http::Response ask(const std::string& method, const std::string& target,
                            const std::string& body = {}) {
    const auto answer =
        http::Client(socket()).send({.method = method, .target = target, .headers = {}, .body = body});
    EXPECT_TRUE(answer) << answer.error().message;
    return answer.value_or(http::Response{.status = 0, .headers = {}, .body = {}});
  }
  static Json get(const std::string& target) {
    const auto answer = ask("GET", target);
    EXPECT_EQ(answer.status, 200) << answer.body;
    return Json::parse(answer.body);
  }
  static Json post(const std::string& target, const Json& body) {
    const auto answer = ask("POST", target, body.dump());
    EXPECT_EQ(answer.status, 200) << answer.body;
    return Json::parse(answer.body);
  }
  // The status and the error's code of a request that goes wrong.
  static std::string refusal(const std::string& target, const std::string& body) {
    const auto answer = ask("POST", target, body);
    const Json error = Json::parse(answer.body, nullptr, false);
    EXPECT_TRUE(error.is_object() && error["error"].is_string()) << answer.body;
    EXPECT_EQ(answer.headers.find("Content-Type").value_or(""), "application/json; charset=utf-8");
    return std::to_string(answer.status) + " " + error.value("code", "");
  }

  struct Answer {
    std::string text, thinking;
    std::vector<std::string> pieces;
    std::vector<Json> logprobs;  // of every line with any
    Json done;
  };
  // Reads a stream to its end and checks its form: that it has started, pieces of text, exactly one last
  // line.
  static Answer generate(const Json& request) {
    Answer a;
    bool started = false;
    const auto answer = http::Client(socket()).stream_lines(
        {.method = "POST", .target = "/generate", .headers = {}, .body = request.dump()},
        [&](std::string_view text) {
          const Json line = Json::parse(text);
          EXPECT_TRUE(a.done.is_null()) << "a line after the last: " << text;
          EXPECT_EQ(line.contains("started"), !started) << text;
          if (!std::exchange(started, true)) {
            EXPECT_EQ(line["started"], true);
            EXPECT_TRUE(line["queued_ns"].is_number_unsigned());
            return true;
          }
          if (line.contains("done") || line.contains("error")) {
            a.done = line;
            return true;
          }
          EXPECT_EQ(line.size(), 1u + line.contains("logprobs")) << text;
          if (line.contains("logprobs")) a.logprobs.push_back(line["logprobs"]);
          a.thinking += line.value("thinking", "");
          if (!line.contains("text")) return true;
          a.text += line["text"].get<std::string>();
          a.pieces.push_back(line["text"]);
          return true;
        });
    EXPECT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(answer ? answer->status : 0, 200) << (answer ? answer->body : "");
    EXPECT_TRUE(a.done.is_object());
    return a;
  }
  // Ten contexts long: nobody waits for its end.
  static Json endless() {
    return {
        {"prompt", "abc"},
        {"raw", true},
        {"options", {{"temperature", 0}, {"num_predict", -1}, {"num_ctx", 8192}, {"repeat_guard", false}}}};
  }

  static std::string request_text(const Json& body) {
    const std::string text = body.dump();
    return fmt::format("POST /generate HTTP/1.1\r\nHost: r\r\nContent-Length: {}\r\n\r\n{}", text.size(),
                       text);
  }

  static bool eventually(const std::function<bool()>& condition) {
    const auto until = std::chrono::steady_clock::now() + kPatience;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > until) return false;
      std::this_thread::sleep_for(milliseconds(5));
    }
    return true;
  }
  static bool idle() { return model().engine().kv_use().in_use == 0; }

  std::unique_ptr<Service> service_;
};

}  // namespace quipu::runner::test
