// An HTTP/1.1 server on one thread: any number of connections, most of them idle, and answers that come whole
// or as a stream written by other threads.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "http/endpoint.h"
#include "http/exchange.h"

namespace quipu::http {

struct ServerOptions {
  uint32_t max_header_bytes = 64 << 10;  // of a request: above, 431
  uint64_t max_body_bytes = 64 << 20;    // of a body that is kept, unless admit says otherwise: above, 413
  // Of all requests that are coming in or not answered yet, together. Above, larger ones are answered with
  // 503; those of less than 64 KiB are always taken.
  uint64_t max_held_bytes = 512 << 20;
  // More are answered with 503 and closed. Each needs a file descriptor.
  size_t max_connections = 8192;
  // What one slow reader can make the server hold; hours of an answer's text.
  size_t stream_queue_bytes = 1 << 20;

  // From a request's first byte to the end of its headers, and without a byte of its body: then 408.
  std::chrono::milliseconds header_timeout{30'000}, body_timeout{60'000};
  std::chrono::milliseconds idle_timeout{300'000};  // without a request; then closed
  // Data waits and the client takes nothing: then it counts as gone.
  std::chrono::milliseconds write_timeout{60'000};

  // What becomes of each request's body; empty: all are kept.
  Admit admit = {};
};

// Called on the server's thread for every complete request; must return soon. The answer may come later, from
// any thread.
using Handler = std::function<void(std::shared_ptr<Exchange>)>;

// Threads: any thread but the server's own (so not from a handler).
class Server {
 public:
  // Listens at once; port 0 takes a free one.
  static Result<std::unique_ptr<Server>> listen(const Endpoint& endpoint, const ServerOptions& options,
                                                Handler handler);
  ~Server();  // stop() without grace

  const Endpoint& endpoint() const;  // with the real port
  size_t n_connections() const;

  // Takes no new connections and no further requests, lets running answers finish for `grace`, then cuts what
  // is left (their on_gone() is called). Returns when every connection is closed. A second call does nothing.
  void stop(std::chrono::milliseconds grace = std::chrono::milliseconds(0));

 private:
  class Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace quipu::http
