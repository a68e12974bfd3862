// One answer, from bytes that come in whatever pieces the network makes of them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/function_ref.h"
#include "base/result.h"
#include "http/message.h"

namespace quipu::http {

// Threads: one at a time.
class ResponseParser {
 public:
  struct Limits {
    uint32_t header_bytes;
    uint64_t body_bytes;  // of a body that is kept
  };
  // on_piece gets the body of a successful (2xx) answer as it comes; null keeps it. Any other body is always
  // kept. to_head: the answer is one to HEAD, which has no body whatever its header says.
  ResponseParser(const Limits& limits, bool to_head, const FunctionRef<bool(std::string_view)>* on_piece);
  ~ResponseParser();
  ResponseParser(const ResponseParser&) = delete;
  ResponseParser& operator=(const ResponseParser&) = delete;

  // Takes bytes from the front and returns how many. The rest has to be offered again, with more behind it.
  // kCancelled: on_piece returned false; kIo: this is no answer, or too much of one. Not after done() or an
  // error.
  Result<size_t> feed(std::string_view bytes);
  // The other side has closed. That may be how the answer ends; kUnavailable: it was not at its end.
  Result<void> feed_end();

  bool done() const;
  Response take();  // after done(), once; without the body that went to on_piece

 private:
  class Parser;
  std::unique_ptr<Parser> parser_;
};

}  // namespace quipu::http
