// An answer as bytes: what a handler has put into an exchange, in the framing that the request allows.
#pragma once

#include <string>

#include "http/exchange_state.h"

namespace quipu::http {

// One per answer. Threads: one at a time.
class AnswerEncoder {
 public:
  AnswerEncoder(bool http11, bool head_only) : http11_(http11), head_only_(head_only) {}

  // Three pieces in their order, so that a large body is moved and never copied.
  struct Bytes {
    std::string front, data, back;
    size_t counted = 0;  // for ExchangeState::written()
    bool empty() const { return front.empty() && data.empty() && back.empty(); }
  };
  // keep_alive: whether the connection could stay open; it counts when the head is among the bytes.
  Bytes encode(ExchangeState::Step step, bool keep_alive);

  // After the bytes that encode() has given:
  bool finished() const { return finished_; }      // nothing follows
  bool cut() const { return cut_; }                // finished, but not whole: the client has to notice
  bool keep_alive() const { return keep_alive_; }  // finished, and the connection can take the next request
  // The end of the connection is the end of the answer: only an abortive end can tell that it is not whole.
  bool ends_with_connection() const { return framing_ == Framing::kUntilClose; }

 private:
  enum class Framing { kNone, kLength, kChunked, kUntilClose };
  void encode_head(ExchangeState::Step& step, bool keep_alive, Bytes& out);

  const bool http11_, head_only_;
  bool finished_ = false, cut_ = false, keep_alive_ = false;
  Framing framing_ = Framing::kNone;
};

}  // namespace quipu::http
