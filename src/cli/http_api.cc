#include "cli/http_api.h"

#include <cerrno>
#include <optional>

#include "base/environment.h"
#include "http/socket.h"

namespace quipu::cli {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds kForEver{-1};
// Both are answered at once by a server that is well; who it is that listens is worth no long wait.
constexpr milliseconds kGreetingPatience{10'000}, kVersionPatience{2'000};

bool is_success(int status) { return status >= 200 && status < 300; }

// The lines of a stream, up to the first that is an error.
class Lines {
 public:
  explicit Lines(FunctionRef<bool(const Json&)> on_line) : on_line_(on_line) {}

  // False: no more lines are wanted.
  bool take(std::string_view text) {
    const Json line = parse_json(text);
    if (!line.is_object()) {
      failure_ = Error{Code::kInternal, "the server's answer has a line that is no JSON object", {}};
      return false;
    }
    if (line.contains("error")) {
      failure_ = failure_of(line, "the server failed");
      return false;
    }
    return on_line_(line);
  }

  const std::optional<Error>& failure() const { return failure_; }

 private:
  FunctionRef<bool(const Json&)> on_line_;
  std::optional<Error> failure_;
};

}  // namespace

bool nobody_listens(const Error& e) {
  if (e.code != Code::kUnavailable) return false;
  for (const int number : {ECONNREFUSED, ENOENT, ECONNRESET})
    if (e.message.ends_with(http::system_message(number))) return true;
  return false;
}

std::string HttpApi::where() const {
  return where_.endpoint.is_unix() ? where_.endpoint.to_string()
                                   : where_.scheme + "://" + where_.endpoint.to_string() + where_.path_prefix;
}

http::Request HttpApi::request(std::string_view method, const std::string& path, const Json& body) const {
  http::Request r{.method = std::string(method), .target = where_.path_prefix + path};
  r.headers.add("User-Agent", "quipu/" QUIPU_VERSION);
  if (const auto key = environment("QUIPU_API_KEY")) r.headers.add("Authorization", "Bearer " + key->value);
  if (!body.is_null()) {
    r.headers.add("Content-Type", "application/json");
    r.body = dump(body);
  }
  return r;
}

Result<Json> HttpApi::send(http::Request request, milliseconds silence) {
  http::ClientOptions options;
  options.silence_timeout = silence;
  const auto go_on = [&] { return !console_.signals().take_interrupt(); };
  QUIPU_ASSIGN(const http::Response answer,
               http::Client(where_.endpoint, options).send(request, {.cancel = -1, .on_idle = go_on}));
  if (!is_success(answer.status)) return std::unexpected(refusal(answer.status, answer.body, false));
  if (answer.body.empty()) return Json();
  Json body = parse_json(answer.body);
  if (body.is_discarded())
    return error(Code::kInternal, "the server's answer to {} is not JSON", request.target);
  return body;
}

Result<void> HttpApi::connect() {
  if (where_.scheme != "http")
    return error(Code::kUnsupported, "{}: {} is not supported by this client, which speaks plain http only",
                 where(), where_.scheme);
  QUIPU_TRY(send(request("HEAD", "/", nullptr), kGreetingPatience));
  const auto said = send(request("GET", "/api/version", nullptr), kVersionPatience);
  if (!said && said.error().code == Code::kCancelled) return std::unexpected(said.error());
  if (!said) return {};
  version_.ollama = text_of(*said, "version");
  version_.quipu = text_of(field_of(*said, "quipu"), "version");
  return {};
}

Result<Json> HttpApi::call(std::string_view method, const std::string& path, const Json& body) {
  return send(request(method, path, body), kForEver);
}

Result<void> HttpApi::stream(const std::string& path, const Json& body,
                             FunctionRef<bool(const Json&)> on_line, FunctionRef<bool()> on_idle) {
  http::ClientOptions options;
  // A long prompt on a slow machine takes minutes before its first word; on_idle can end it.
  options.silence_timeout = kForEver;
  Lines lines(on_line);
  const auto answer =
      http::Client(where_.endpoint, options)
          .stream_lines(request("POST", path, body), [&](std::string_view line) { return lines.take(line); },
                        {.cancel = -1, .on_idle = [&] { return on_idle(); }});
  if (lines.failure()) return std::unexpected(*lines.failure());
  if (!answer) return std::unexpected(answer.error());
  if (!is_success(answer->status)) return std::unexpected(refusal(answer->status, answer->body, !plain_));
  return {};
}

Result<void> HttpApi::upload(const std::string& path, const http::Upload& body, FunctionRef<bool()> on_idle) {
  http::ClientOptions options;
  options.silence_timeout = kForEver;  // the server hashes all of it before it answers
  http::Request r = request("POST", path, nullptr);
  r.headers.add("Content-Type", "application/octet-stream");
  QUIPU_ASSIGN(const http::Response answer,
               http::Client(where_.endpoint, options).upload(r, body, {.cancel = -1, .on_idle = [&] {
                                                                         return on_idle();
                                                                       }}));
  if (!is_success(answer.status)) return std::unexpected(refusal(answer.status, answer.body, false));
  return {};
}

}  // namespace quipu::cli
