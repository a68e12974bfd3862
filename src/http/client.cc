#include "http/client.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "http/response_parser.h"
#include "http/socket.h"

namespace quipu::http {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kIdleInterval{100};
constexpr size_t kReadBytes = 64 << 10;
constexpr size_t kUploadBytes = 256 << 10;  // at once

bool is_visible(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](unsigned char c) { return c > ' ' && c != 0x7f; });
}

Result<std::string> head_of(const Request& request, uint64_t body_bytes, const Endpoint& endpoint) {
  if (!is_visible(request.method) || !is_visible(request.target)) {
    return error(Code::kInvalidArgument, "'{} {}' cannot be requested", request.method, request.target);
  }
  std::string head = fmt::format("{} {} HTTP/1.1\r\n", request.method, request.target);
  if (!request.headers.contains("Host")) head += fmt::format("Host: {}\r\n", endpoint.host_header());
  append_header_lines(head, request.headers);
  if (body_bytes > 0 || (request.method != "GET" && request.method != "HEAD")) {
    head += fmt::format("Content-Length: {}\r\n", body_bytes);
  }
  head += "Connection: close\r\n\r\n";
  return head;
}

// One request's connection, and its waits.
class Call {
 public:
  Call(Fd fd, milliseconds silence, const Waiting& waiting)
      : fd_(std::move(fd)),
        silence_(silence),
        waiting_(waiting),
        last_move_(steady_clock::now()),
        last_call_(last_move_) {}

  // False: the other side takes no more. It may have answered all the same.
  Result<bool> write(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n > 0) {
        bytes.remove_prefix(static_cast<size_t>(n));
        last_move_ = steady_clock::now();
      } else if (errno == EAGAIN) {
        QUIPU_TRY(wait(POLLIN | POLLOUT));
        // An answer before the end of the request: it will say why.
        if (wait_ready(fd_.get(), POLLOUT, milliseconds(0), -1) != Ready::kReady) return false;
      } else if (errno != EINTR) {
        return false;
      }
    }
    return true;
  }

  // The same for an upload.
  Result<bool> write(const Upload& upload) {
    std::string buffer(static_cast<size_t>(std::min<uint64_t>(upload.bytes, kUploadBytes)), '\0');
    for (uint64_t sent = 0; sent < upload.bytes;) {
      QUIPU_TRY(idle());
      switch (wait_ready(fd_.get(), POLLIN, milliseconds(0), waiting_.cancel)) {
        case Ready::kReady:
          return false;
        case Ready::kCancelled:
          return error(Code::kCancelled, "cancelled");
        case Ready::kTimeout:
          break;
      }
      const auto most = static_cast<size_t>(std::min<uint64_t>(upload.bytes - sent, buffer.size()));
      QUIPU_ASSIGN(const size_t n, upload.read({buffer.data(), most}));
      if (n == 0 || n > most)
        return error(Code::kIo, "the body ended after {} of {} bytes", sent, upload.bytes);
      last_move_ = steady_clock::now();  // reading may have taken a while
      QUIPU_ASSIGN(const bool taken, write(std::string_view(buffer.data(), n)));
      if (!taken) return false;
      sent += n;
      if (upload.on_sent) upload.on_sent(sent);
    }
    return true;
  }

  Result<Response> read(ResponseParser& parser) {
    std::string in, buffer(kReadBytes, '\0');
    for (;;) {
      QUIPU_TRY(wait(POLLIN));
      const ssize_t n = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
      if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
      if (n < 0) return error(Code::kUnavailable, "the connection broke: {}", system_message(errno));
      if (n == 0) {
        QUIPU_TRY(parser.feed_end());
        return parser.take();
      }
      in.append(buffer, 0, static_cast<size_t>(n));
      QUIPU_ASSIGN(const size_t taken, parser.feed(in));
      in.erase(0, taken);
      if (parser.done()) return parser.take();
      last_move_ = steady_clock::now();
    }
  }

  // The caller has had a chance to end this.
  void called() { last_call_ = steady_clock::now(); }

 private:
  Result<void> idle() {
    if (!waiting_.on_idle || steady_clock::now() - last_call_ < kIdleInterval) return {};
    if (!waiting_.on_idle()) return error(Code::kCancelled, "cancelled");
    called();
    return {};
  }

  Result<void> wait(short events) {
    for (;;) {
      QUIPU_TRY(idle());
      const auto now = steady_clock::now();
      const bool for_ever = silence_ < milliseconds(0);
      auto time = for_ever ? milliseconds(-1) : std::chrono::ceil<milliseconds>(last_move_ + silence_ - now);
      if (!for_ever && time <= milliseconds(0)) {
        return error(Code::kUnavailable, "nothing came for {} seconds", silence_.count() / 1000.0);
      }
      if (waiting_.on_idle) {
        const auto next = std::chrono::ceil<milliseconds>(last_call_ + kIdleInterval - now);
        time = for_ever ? next : std::min(time, next);
      }
      switch (wait_ready(fd_.get(), events, time, waiting_.cancel)) {
        case Ready::kReady:
          return {};
        case Ready::kCancelled:
          return error(Code::kCancelled, "cancelled");
        case Ready::kTimeout:
          break;
      }
    }
  }

  const Fd fd_;
  const milliseconds silence_;
  const Waiting& waiting_;
  steady_clock::time_point last_move_, last_call_;
};

}  // namespace

Result<Response> Client::exchange(const Request& request, const Upload* upload,
                                  const FunctionRef<bool(std::string_view)>* on_piece,
                                  const Waiting& waiting) const {
  const uint64_t body_bytes = upload != nullptr ? upload->bytes : request.body.size();
  QUIPU_ASSIGN(const std::string head, head_of(request, body_bytes, endpoint_));
  QUIPU_ASSIGN(Fd fd, connect_to(endpoint_, options_.connect_timeout, waiting.cancel));
  Call call(std::move(fd), options_.silence_timeout, waiting);
  const auto counted = [&](std::string_view piece) {
    call.called();
    return (*on_piece)(piece);
  };
  const FunctionRef<bool(std::string_view)> piece_sink(counted);
  ResponseParser parser({.header_bytes = options_.max_header_bytes, .body_bytes = options_.max_body_bytes},
                        request.method == "HEAD", on_piece == nullptr ? nullptr : &piece_sink);
  const auto talk = [&]() -> Result<Response> {
    QUIPU_ASSIGN(const bool all, call.write(head));
    if (all) QUIPU_TRY(upload != nullptr ? call.write(*upload) : call.write(request.body));
    return call.read(parser);
  };
  Result<Response> answer = talk();
  if (!answer && answer.error().code != Code::kCancelled)
    return wrap(std::move(answer).error(), endpoint_.to_string());
  return answer;
}

Result<Response> Client::send(const Request& request, const Waiting& waiting) const {
  return exchange(request, nullptr, nullptr, waiting);
}

Result<Response> Client::upload(const Request& request, const Upload& body, const Waiting& waiting) const {
  return exchange(request, &body, nullptr, waiting);
}

Result<Response> Client::stream(const Request& request, FunctionRef<bool(std::string_view)> on_piece,
                                const Waiting& waiting) const {
  return exchange(request, nullptr, &on_piece, waiting);
}

Result<Response> Client::stream_lines(const Request& request, FunctionRef<bool(std::string_view)> on_line,
                                      const Waiting& waiting) const {
  std::string begun;  // a line without its end
  bool too_long = false;
  const auto say = [&](std::string_view line) {
    if (line.ends_with('\r')) line.remove_suffix(1);
    return line.empty() || on_line(line);
  };
  const auto on_piece = [&](std::string_view piece) {
    for (size_t end; (end = piece.find('\n')) != piece.npos; piece.remove_prefix(end + 1)) {
      const std::string_view rest = piece.substr(0, end);
      too_long = rest.size() > options_.max_line_bytes - begun.size();
      if (too_long) return false;
      const bool go_on = begun.empty() ? say(rest) : say(begun.append(rest));
      begun.clear();
      if (!go_on) return false;
    }
    too_long = piece.size() > options_.max_line_bytes - begun.size();
    if (!too_long) begun.append(piece);
    return !too_long;
  };
  Result<Response> answer = stream(request, on_piece, waiting);
  if (too_long) {
    return error(Code::kIo, "{}: a line of the answer has more than {} bytes", endpoint_.to_string(),
                 options_.max_line_bytes);
  }
  if (answer && !begun.empty() && !say(begun)) return error(Code::kCancelled, "cancelled");
  return answer;
}

}  // namespace quipu::http
