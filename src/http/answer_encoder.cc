#include "http/answer_encoder.h"

#include <fmt/chrono.h>

#include <ctime>
#include <utility>

namespace quipu::http {

AnswerEncoder::Bytes AnswerEncoder::encode(ExchangeState::Step step, bool keep_alive) {
  Bytes out;
  out.counted = step.data.size();
  if (step.has_head) encode_head(step, keep_alive, out);
  if (framing_ == Framing::kUntilClose) {
    out.data = std::move(step.data);
  } else if (framing_ == Framing::kChunked) {
    if (!step.data.empty()) {
      out.front += fmt::format("{:x}\r\n", step.data.size());
      out.data = std::move(step.data);
      out.back = "\r\n";
    }
    if (step.last) out.back += "0\r\n\r\n";
  }
  cut_ = step.aborted;
  finished_ = step.last || step.aborted;
  if (cut_) keep_alive_ = false;
  return out;
}

void AnswerEncoder::encode_head(ExchangeState::Step& step, bool keep_alive, Bytes& out) {
  Response& head = step.head;
  // What is no final answer would leave the client waiting for one.
  if (head.status < 200 || head.status > 999) {
    head = error_response(500, "the answer had no valid status");
    if (!step.whole) step.data = std::exchange(head.body, {});
  }
  const bool has_body = status_has_body(head.status);
  const bool chunked = !step.whole && has_body && http11_;
  const bool until_close = !step.whole && has_body && !http11_;
  keep_alive_ = keep_alive && !(until_close && !head_only_);

  out.front = fmt::format("HTTP/1.{} {} {}\r\n", http11_ ? 1 : 0, head.status, status_phrase(head.status));
  append_header_lines(out.front, head.headers);
  if (!head.headers.contains("Date")) {
    out.front += fmt::format("Date: {:%a, %d %b %Y %H:%M:%S} GMT\r\n", fmt::gmtime(std::time(nullptr)));
  }
  if (chunked) out.front += "Transfer-Encoding: chunked\r\n";
  if (step.whole && has_body) out.front += fmt::format("Content-Length: {}\r\n", head.body.size());
  if (!keep_alive_) {
    out.front += "Connection: close\r\n";
  } else if (!http11_) {
    out.front += "Connection: keep-alive\r\n";
  }
  out.front += "\r\n";

  if (head_only_ || !has_body) return;
  framing_ = chunked ? Framing::kChunked : until_close ? Framing::kUntilClose : Framing::kLength;
  if (step.whole) out.data = std::move(head.body);
}

}  // namespace quipu::http
