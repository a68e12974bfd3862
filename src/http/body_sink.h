// A request's body that is not kept: who decides that, and where it goes instead.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>

#include "http/message.h"

namespace quipu::http {

// Takes one request's body piece by piece. When all of it is taken the request goes to the handler, which
// finds the sink in the exchange. A request that is cut or wrong never gets there: its sink is just
// destroyed.
//
// Threads: write() on threads made for that, one call at a time; destroyed on one of them, unless the
// exchange holds it last. Nothing may throw.
class BodySink {
 public:
  virtual ~BodySink() = default;

  // The next bytes. May take its time: meanwhile no more than about 1 MiB is read from the client. False: no
  // more is wanted, and the request goes to the handler at once.
  virtual bool write(std::string_view piece) = 0;
};

// What becomes of a request whose headers are there.
struct Admission {
  // Above, 413. 0: ServerOptions::max_body_bytes.
  uint64_t max_body_bytes = 0;
  // Set: the body goes there, and Request::body stays empty.
  std::shared_ptr<BodySink> sink = {};
  // Set: the answer, at once. The handler is not called and the body is not read: a short one is thrown away,
  // else the connection ends with the answer.
  std::optional<Response> answer = {};
};

// Called on the server's thread for every request (without its body); must return soon.
using Admit = std::function<Admission(const Request& head)>;

}  // namespace quipu::http
