#include "fleet/runner_client.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <optional>
#include <utility>

namespace quipu::fleet {
namespace {

using std::chrono::milliseconds;

constexpr int kOk = 200;
// A connection breaks a moment before it is known that the process is gone.
constexpr milliseconds kEndPatience{1000};
constexpr uint64_t kMostAnswerBytes = uint64_t{1} << 30;  // thousands of long embeddings

// As Ollama says it; clients look for it.
constexpr const char* kStopped =
    "model runner has unexpectedly stopped, this may be due to resource limitations or an internal error, "
    "check ollama server logs for details";

Failure cancelled_failure() { return Error{Code::kCancelled, "request canceled", {}}; }

Json parse(std::string_view text) { return Json::parse(text, nullptr, false); }

http::ClientOptions options_for(milliseconds silence) {
  http::ClientOptions options;
  options.max_body_bytes = kMostAnswerBytes;
  options.silence_timeout = silence;
  return options;
}

Failure odd_answer(std::string_view what) {
  return Error{Code::kInternal, fmt::format("the runner's answer is not what was expected: {}", what), {}};
}

}  // namespace

RunnerClient::RunnerClient(std::shared_ptr<const RunnerLink> link, milliseconds silence)
    : link_(std::move(link)),
      cancel_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      http_(http::Endpoint{.path = link_->socket_path, .host = {}, .port = 0}, options_for(silence)) {}

void RunnerClient::cancel() {
  cancelled_ = true;
  const uint64_t one = 1;
  if (cancel_.valid() && ::write(cancel_.get(), &one, sizeof one) < 0) return;  // it is readable already
}

Failure RunnerClient::explain(const Error& e) const {
  if (e.code == Code::kCancelled || cancelled()) return cancelled_failure();
  if (link_->end->wait(kEndPatience)) {
    const std::string why = link_->end->why();
    return Error{Code::kInternal, why.empty() ? kStopped : fmt::format("{}: {}", kStopped, why), {}};
  }
  return Error{
      Code::kInternal, fmt::format("an error was encountered while running the model: {}", e.message), {}};
}

http::Request RunnerClient::post(const char* target, const Json& body) const {
  return {.method = "POST",
          .target = target,
          .headers = {{"Content-Type", "application/json"}},
          // What came from a client may have bytes that are no UTF-8, which JSON cannot hold.
          .body = body.dump(-1, ' ', false, Json::error_handler_t::replace)};
}

Answer<Json> RunnerClient::receive(const Result<http::Response>& answer) {
  if (!answer) return std::unexpected(explain(answer.error()));
  Json body = parse(answer->body);
  if (answer->status != kOk)
    return std::unexpected(
        failure_of(body, fmt::format("the runner answered with status {}", answer->status)));
  return body;
}

Answer<Json> RunnerClient::call(const http::Request& request) {
  if (cancelled()) return std::unexpected(cancelled_failure());
  QUIPU_ASSIGN(Json body, receive(http_.send(request, waiting())));
  if (!body.is_object()) return std::unexpected(odd_answer("no JSON object"));
  return body;
}

Answer<Json> RunnerClient::generate(const Json& request, FunctionRef<bool(const Json&)> on_line) {
  if (cancelled()) return std::unexpected(cancelled_failure());
  std::optional<Answer<Json>> last;
  const auto take = [&](std::string_view text) {
    Json line = parse(text);
    if (last || !line.is_object()) {
      last =
          std::unexpected(odd_answer(last ? "it goes on after its last line" : "a line is no JSON object"));
      return false;
    }
    if (line.contains("error")) {
      last = std::unexpected(failure_of(line, "the runner failed"));
    } else if (line.contains("done")) {
      last = std::move(line);
    } else {
      return on_line(line);
    }
    return true;  // up to its end: hanging up before would look to the runner as if the answer was not wanted
  };
  const auto answer = http_.stream_lines(post("/generate", request), take, waiting());
  if (last) return *std::move(last);
  if (answer && answer->status == kOk)
    return std::unexpected(explain({Code::kUnavailable, "the answer ended before it was complete", {}}));
  return receive(answer);
}

Answer<Json> RunnerClient::render(Json request) {
  request["render_only"] = true;
  return call(post("/generate", request));
}

Answer<Json> RunnerClient::embed(const Json& request) { return call(post("/embed", request)); }

Answer<std::vector<int64_t>> RunnerClient::tokenize(std::string_view text, bool add_special,
                                                    bool parse_special) {
  QUIPU_ASSIGN(const Json body,
               call(post("/tokenize",
                         {{"text", text}, {"add_special", add_special}, {"parse_special", parse_special}})));
  const auto tokens = body.find("tokens");
  if (tokens == body.end() || !tokens->is_array()) return std::unexpected(odd_answer("no tokens"));
  std::vector<int64_t> out;
  out.reserve(tokens->size());
  for (const Json& id : *tokens) {
    if (!id.is_number_integer()) return std::unexpected(odd_answer("a token is no number"));
    out.push_back(id.get<int64_t>());
  }
  return out;
}

Answer<std::string> RunnerClient::detokenize(std::span<const int64_t> tokens) {
  Json ids = Json::array();
  for (const int64_t id : tokens) ids.push_back(id);
  Json request;
  request["tokens"] = std::move(ids);
  QUIPU_ASSIGN(const Json body, call(post("/detokenize", request)));
  const auto text = body.find("text");
  if (text == body.end() || !text->is_string()) return std::unexpected(odd_answer("no text"));
  return text->get<std::string>();
}

Answer<Json> RunnerClient::trim() { return call(post("/trim", Json::object())); }

Answer<Json> RunnerClient::memory() { return call({.method = "GET", .target = "/memory"}); }

}  // namespace quipu::fleet
