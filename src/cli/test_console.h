// For tests: a console whose outputs are files, and a runner that answers from a script.
#pragma once

#include <unistd.h>

#include <cstdio>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "cli/console.h"
#include "cli/runner_connection.h"

namespace quipu::cli::test {

class CapturedConsole {
 public:
  CapturedConsole() : out_(std::tmpfile()), err_(std::tmpfile()), in_(std::tmpfile()) {}
  ~CapturedConsole() {
    for (std::FILE* f : {out_, err_, in_}) std::fclose(f);
  }

  Console& console() { return console_; }
  SignalWatch& signals() { return signals_; }
  std::string take_out() { return take(out_); }
  std::string take_err() { return take(err_); }

 private:
  static std::string take(std::FILE* f) {
    std::string text;
    char buffer[4096];
    lseek(fileno(f), 0, SEEK_SET);
    for (ssize_t n; (n = read(fileno(f), buffer, sizeof buffer)) > 0;)
      text.append(buffer, static_cast<size_t>(n));
    if (ftruncate(fileno(f), 0) == 0) lseek(fileno(f), 0, SEEK_SET);
    return text;
  }

  SignalWatch signals_;
  std::FILE *out_, *err_, *in_;
  Console console_{fileno(in_), fileno(out_), fileno(err_), signals_};
};

class FakeRunner : public RunnerConnection {
 public:
  struct Reply {
    std::vector<std::string> pieces = {};
    Json done = {{"done", true}, {"stop", "eos"}};
    Error failure{Code::kInternal, {}, {}};  // with a message: instead of `done`
    std::function<void()> before_end = {};   // then on_idle is called once
  };

  Result<Json> get(const std::string& path) override {
    if (path == "/memory") return Json{{"weights", {{"planned", 1024}, {"measured", 1024}}}};
    return error(Code::kNotFound, "no {}", path);
  }

  Result<Json> generate(const Json& request, FunctionRef<bool(std::string_view)> on_text,
                        FunctionRef<bool()> on_idle) override {
    requests.push_back(request);
    Reply reply = replies.empty() ? Reply{} : replies.front();
    if (!replies.empty()) replies.pop_front();
    for (const std::string& piece : reply.pieces)
      if (!on_text(piece)) return error(Code::kCancelled, "cancelled");
    if (reply.before_end) {
      reply.before_end();
      if (!on_idle()) return error(Code::kCancelled, "cancelled");
    }
    if (!reply.failure.message.empty()) return std::unexpected(reply.failure);
    return reply.done;
  }

  int64_t take_load_ns() override { return 0; }

  std::deque<Reply> replies;
  std::vector<Json> requests;
};

}  // namespace quipu::cli::test
