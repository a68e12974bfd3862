// One request, from bytes that come in whatever pieces the network makes of them. Stricter than the grammar
// where two readings of one message could differ: how long it is must be said once and clearly.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "http/message.h"

namespace quipu::http {

// Threads: one at a time.
class RequestParser {
 public:
  struct Limits {
    uint32_t header_bytes;
    uint64_t body_bytes;
  };
  explicit RequestParser(const Limits& limits);
  ~RequestParser();
  RequestParser(const RequestParser&) = delete;
  RequestParser& operator=(const RequestParser&) = delete;

  // Takes bytes from the front and returns how many. The rest has to be offered again, with more behind it,
  // or belongs to the next request (done()). Not after done() or failed().
  size_t feed(std::string_view bytes);

  bool header_done() const;
  bool done() const;
  bool failed() const { return status_ != 0; }
  int status() const { return status_; }                   // of failed(): what to answer
  const std::string& problem() const { return problem_; }  // one sentence

  // What stands in the header.
  bool http11() const;
  bool keep_alive() const;
  bool expects_continue() const;

  Request take();  // after done(), once

 private:
  class Parser;
  void fail(int status, std::string problem);

  const size_t header_limit_;
  size_t header_left_;
  std::unique_ptr<Parser> parser_;
  int status_ = 0;
  std::string problem_;
};

}  // namespace quipu::http
