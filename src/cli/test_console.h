// For tests: a console whose outputs are files, and a server that answers from a script.
#pragma once

#include <unistd.h>

#include <cstdio>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "cli/api.h"
#include "cli/console.h"
#include "cli/opened_model.h"

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

class FakeApi : public Api {
 public:
  struct Request {
    std::string method, path;
    Json body;
  };
  // A stream: pieces of text, then the last object.
  struct Reply {
    std::vector<std::string> pieces = {};
    Json done = {{"done", true}, {"quipu", {{"stop", "eos"}}}};
    Error failure{Code::kInternal, {}, {}};  // with a message: instead of `done`
    std::function<void()> before_end = {};   // then on_idle is called once
    std::vector<std::string> thinking = {};  // before the pieces
  };

  Result<Json> call(std::string_view method, const std::string& path, const Json& body = nullptr) override {
    calls.push_back({std::string(method), path, body});
    const auto it = answers.find(path);
    if (it == answers.end()) return error(Code::kNotFound, "no {}", path);
    return it->second;
  }

  Result<void> stream(const std::string& path, const Json& body, FunctionRef<bool(const Json&)> on_line,
                      FunctionRef<bool()> on_idle) override {
    requests.push_back({"POST", path, body});
    const auto cancelled = [] { return error(Code::kCancelled, "cancelled"); };
    Reply reply = replies.empty() ? Reply{} : replies.front();
    if (!replies.empty()) replies.pop_front();
    const auto line = [&](const std::string& text, const char* kind) {
      Json message = {{"role", "assistant"}, {"content", ""}};
      message[kind] = text;
      return on_line({{"message", message}, {"done", false}});
    };
    for (const std::string& piece : reply.thinking)
      if (!line(piece, "thinking")) return cancelled();
    for (const std::string& piece : reply.pieces)
      if (!line(piece, "content")) return cancelled();
    if (reply.before_end) {
      reply.before_end();
      if (!on_idle()) return cancelled();
    }
    if (!reply.failure.message.empty()) return std::unexpected(reply.failure);
    if (!on_line(reply.done)) return cancelled();
    return {};
  }

  Result<void> upload(const std::string& path, const http::Upload&, FunctionRef<bool()>) override {
    calls.push_back({"POST", path, nullptr});
    return {};
  }

  const ServerVersion& version() const override { return version_; }
  std::string where() const override { return "a test"; }

  ServerVersion version_{"0.32.15", QUIPU_VERSION};
  std::map<std::string, Json> answers;  // of call(), by path
  std::deque<Reply> replies;            // of stream()
  std::vector<Request> calls, requests;
};

// Models of a FakeApi by name.
class FakeOpener : public ModelOpener {
 public:
  Result<OpenedModel> open(const std::string& model) override {
    const auto it = models.find(model);
    if (it == models.end()) return error(Code::kNotFound, "model '{}' not found", model);
    return it->second;
  }
  std::map<std::string, OpenedModel> models;
};

inline OpenedModel opened(std::shared_ptr<FakeApi> api, Json shown = Json::object(), std::string name = "m") {
  return OpenedModel{std::move(api), std::move(name), false, false, std::move(shown)};
}

}  // namespace quipu::cli::test
