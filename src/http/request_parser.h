// One request, from bytes that come in whatever pieces the network makes of them. Stricter than the grammar
// where two readings of one message could differ: how long it is must be said once and clearly.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "http/message.h"

namespace quipu::http {

// Threads: one at a time.
class RequestParser {
 public:
  explicit RequestParser(uint32_t header_limit);
  ~RequestParser();
  RequestParser(const RequestParser&) = delete;
  RequestParser& operator=(const RequestParser&) = delete;

  // Takes bytes from the front and returns how many. The rest has to be offered again, with more behind it,
  // or belongs to the next request (done()). Behind the header nothing is taken until choose_body(). Not
  // after done() or failed().
  size_t feed(std::string_view bytes);

  using ToBody = std::function<void(std::string_view piece)>;
  // After header_done(), once: more than `limit` bytes of body are too many (413, perhaps at once). `to` gets
  // the body piece by piece; empty: it is kept for take().
  void choose_body(uint64_t limit, ToBody to = nullptr);
  // What is still to come of the body goes nowhere. May stand for choose_body().
  void discard_body();

  bool header_done() const;
  bool done() const;
  bool failed() const { return status_ != 0; }
  int status() const { return status_; }                   // of failed(): what to answer
  const std::string& problem() const { return problem_; }  // one sentence, or empty: the status says it

  // What stands in the header.
  bool http11() const;
  bool keep_alive() const;
  bool expects_continue() const;
  const Request& head() const;                   // the request so far
  uint64_t held_bytes() const;                   // of memory, for the header and the body that is kept
  std::optional<uint64_t> rest_of_body() const;  // bytes still to come, where the header says it

  Request take();  // after header_done(), once; the body is there after done()

 private:
  class Parser;
  void fail(int status, std::string problem);

  const size_t header_limit_;
  size_t header_left_;
  bool body_chosen_ = false;
  std::unique_ptr<Parser> parser_;
  int status_ = 0;
  std::string problem_;
};

}  // namespace quipu::http
