#include "cli/local_runner.h"

#include <poll.h>

#include <chrono>
#include <optional>
#include <utility>

#include "cli/render.h"
#include "cli/report.h"
#include "fleet/failure.h"
#include "http/client.h"

namespace quipu::cli {

namespace {

constexpr int kOk = 200;
// A runner's output and its connections end a moment before its process does.
constexpr std::chrono::milliseconds kEndPatience{500};

http::Endpoint endpoint_of(const fleet::RunnerProcess& process) {
  return {.path = process.socket_path(), .host = {}, .port = 0};
}

Error refusal(int status, const Json& body) {
  return fleet::failure_of(body, fmt::format("the runner answered with status {}", status));
}

// The lines of an answer: pieces of text, then exactly one that says how it ended.
class AnswerLines {
 public:
  explicit AnswerLines(FunctionRef<bool(std::string_view)> on_text) : on_text_(on_text) {}

  // False: no more lines are wanted.
  bool take(std::string_view text) {
    Json line = Json::parse(text, nullptr, false);
    if (last_) {
      last_ = error(Code::kInternal, "the runner's answer goes on after its last line");
      return false;
    }
    if (line.contains("error")) {
      last_ = std::unexpected(fleet::failure_of(line, "the runner failed"));
    } else if (line.contains("done")) {
      last_ = std::move(line);
    } else if (line.contains("text") && line["text"].is_string()) {
      const auto& piece = line["text"].get_ref<const std::string&>();
      return piece.empty() || on_text_(piece);
    } else if (!line.contains("started")) {
      last_ = error(Code::kInternal, "the runner's answer has a line that is not the protocol's");
      return false;
    }
    return true;  // up to its end: hanging up before would look to the runner as if the answer was not wanted
  }

  const std::optional<Result<Json>>& last() const { return last_; }

 private:
  FunctionRef<bool(std::string_view)> on_text_;
  std::optional<Result<Json>> last_;
};

}  // namespace

Result<void> LocalRunner::ensure_running() {
  if (process_ != nullptr && !process_->ended()) return {};
  QUIPU_ASSIGN(process_, fleet::RunnerProcess::spawn(options_));
  Result<void> ready = wait_until_ready();
  if (!ready) process_.reset();
  return ready;
}

Result<void> LocalRunner::wait_until_ready() {
  Spinner spinner(console_, "");
  while (true) {
    switch (console_.signals().wait(process_->output(), POLLIN, 100)) {
      case SignalWatch::Wake::kTimeout:
        spinner.tick();
        continue;
      case SignalWatch::Wake::kSignal:
        if (console_.signals().take_interrupt()) return error(Code::kCancelled, "interrupted");
        continue;
      case SignalWatch::Wake::kReady:
        break;
    }
    if (auto said = process_->read_output()) {
      if (*said) {
        load_ns_ = (*said)->load_ns;
        return {};
      }
      fleet::Failure why = std::move(*said).error();  // where the model does not fit: what needs how much
      why.table.erase(why.table.find_last_not_of('\n') + 1);
      if (!why.table.empty()) why.message += "\n" + why.table;
      return std::unexpected(std::move(why));
    }
    if (process_->output_closed()) {
      const bool ended = process_->wait(kEndPatience);
      return error(Code::kUnavailable, "{}",
                   ended ? process_->ending() : "the runner closed its output before it was ready");
    }
  }
}

Error LocalRunner::explained(Error e) {
  if (e.code == Code::kCancelled || process_ == nullptr) return e;
  if (process_->wait(kEndPatience)) return {Code::kUnavailable, process_->ending(), {}};
  return e;
}

Result<Json> LocalRunner::get(const std::string& path) {
  QUIPU_TRY(ensure_running());
  const http::Client client(endpoint_of(*process_));
  const auto answer =
      client.send({.method = "GET", .target = path},
                  {.cancel = -1, .on_idle = [&] { return !console_.signals().take_interrupt(); }});
  if (!answer) return std::unexpected(explained(answer.error()));
  Json body = Json::parse(answer->body, nullptr, false);
  if (answer->status != kOk) return std::unexpected(refusal(answer->status, body));
  if (body.is_discarded()) return error(Code::kInternal, "the runner's answer to {} is not JSON", path);
  return body;
}

Result<Json> LocalRunner::generate(const Json& request, FunctionRef<bool(std::string_view)> on_text,
                                   FunctionRef<bool()> on_idle) {
  QUIPU_TRY(ensure_running());
  http::ClientOptions options;
  // A long prompt on a slow machine takes minutes before its first word; on_idle can end it, and so can the
  // runner's end.
  options.silence_timeout = std::chrono::milliseconds(-1);
  const http::Client client(endpoint_of(*process_), options);
  AnswerLines lines(on_text);
  const auto answer =
      client.stream_lines({.method = "POST",
                           .target = "/generate",
                           .headers = {{"Content-Type", "application/json"}},
                           // A terminal can hand in bytes that are no UTF-8, which JSON cannot hold.
                           .body = request.dump(-1, ' ', false, Json::error_handler_t::replace)},
                          [&](std::string_view line) { return lines.take(line); },
                          {.cancel = -1, .on_idle = [&] { return on_idle(); }});
  if (lines.last()) return *lines.last();
  if (!answer) return std::unexpected(explained(answer.error()));
  if (answer->status != kOk) {
    return std::unexpected(refusal(answer->status, Json::parse(answer->body, nullptr, false)));
  }
  return std::unexpected(
      explained({Code::kUnavailable, "the runner's answer ended before it was complete", {}}));
}

}  // namespace quipu::cli
