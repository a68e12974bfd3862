// An HTTP/1.1 client that blocks. Every request has a connection of its own: nothing of one answer can be
// taken for a part of the next, and closing the connection cancels exactly one request.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string_view>

#include "base/function_ref.h"
#include "base/result.h"
#include "http/endpoint.h"
#include "http/message.h"
#include "http/upload.h"

namespace quipu::http {

struct ClientOptions {
  uint32_t max_header_bytes = 64 << 10;
  uint64_t max_body_bytes = 64 << 20;  // of an answer that is kept whole
  size_t max_line_bytes = 16 << 20;    // of stream_lines()
  std::chrono::milliseconds connect_timeout{5'000};
  // While nothing moves in either direction. Negative: for ever, for answers that may take their time.
  std::chrono::milliseconds silence_timeout{60'000};
};

// What may end a request before its time; the result is kCancelled then.
struct Waiting {
  int cancel = -1;  // a descriptor that becomes readable
  // Called about every 100 ms while nothing comes, and while an upload is sent; false ends the request.
  std::function<bool()> on_idle = {};
};

// Errors: kUnavailable (the other side is not there, went away or fell silent), kIo (it does not speak HTTP,
// or says too much), kCancelled, kInvalidArgument (the request cannot be written). An answer is a success
// whatever its status.
//
// Threads: any; callbacks run on the caller's.
class Client {
 public:
  explicit Client(Endpoint endpoint, const ClientOptions& options = {})
      : endpoint_(std::move(endpoint)), options_(options) {}

  // Content-Length, Connection and, unless given, Host are added.
  Result<Response> send(const Request& request, const Waiting& waiting = {}) const;

  // With `body` in place of the request's own. An answer that comes before all is sent ends it.
  Result<Response> upload(const Request& request, const Upload& body, const Waiting& waiting = {}) const;

  // A successful (2xx) answer's body goes to on_piece as it comes; false ends the request. Any other answer
  // is returned whole.
  Result<Response> stream(const Request& request, FunctionRef<bool(std::string_view piece)> on_piece,
                          const Waiting& waiting = {}) const;

  // The same by lines, which come without their end. Empty lines are left out.
  Result<Response> stream_lines(const Request& request, FunctionRef<bool(std::string_view line)> on_line,
                                const Waiting& waiting = {}) const;

 private:
  Result<Response> exchange(const Request& request, const Upload* upload,
                            const FunctionRef<bool(std::string_view)>* on_piece,
                            const Waiting& waiting) const;

  Endpoint endpoint_;
  ClientOptions options_;
};

}  // namespace quipu::http
