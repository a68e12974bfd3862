#include "http/response_parser.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <optional>
#include <ostream>  // boost/core/detail/string_view.hpp needs it and does not include it
#include <utility>

namespace quipu::http {
namespace {

namespace beast_http = boost::beast::http;
using boost::beast::error_code;
using BeastView = boost::beast::string_view;

std::string_view view(BeastView text) { return {text.data(), text.size()}; }

}  // namespace

// Reads one message after the other until one is final: before the answer there may be several that only say
// "Continue".
class ResponseParser::Parser {
 public:
  Parser(const Limits& limits, bool to_head, const FunctionRef<bool(std::string_view)>* on_piece)
      : limits_(limits), to_head_(to_head), on_piece_(on_piece), header_left_(limits.header_bytes) {
    message_.emplace(*this);
  }

  // By windows, as RequestParser does and for its reasons.
  Result<size_t> feed(std::string_view bytes) {
    size_t taken = 0;
    while (taken < bytes.size() && !done()) {
      const bool in_header = !message_->is_header_done();
      const size_t window = in_header ? header_left_ : limits_.header_bytes;
      const std::string_view rest = bytes.substr(taken, window);
      error_code ec = beast_http::error::need_more;
      size_t n = 0;
      if (!rest.empty()) n = message_->put(boost::asio::const_buffer(rest.data(), rest.size()), ec);
      taken += n;
      if (in_header) header_left_ -= n;
      if (ec == beast_http::error::need_more) {
        if (rest.size() < window) break;
        if (!in_header) return error(Code::kIo, "malformed answer: a chunk's header is too long");
        ec = beast_http::error::header_limit;
      }
      if (ec) return failure(ec);
      if (message_->is_done() && response_.status / 100 == 1) {
        response_ = {};
        message_.emplace(*this);
      }
    }
    return taken;
  }

  Result<void> feed_end() {
    error_code ec = beast_http::error::partial_message;
    if (message_->got_some()) message_->put_eof(ec);
    if (ec) return error(Code::kUnavailable, "the connection was closed before the answer was complete");
    return {};
  }

  bool done() const { return message_->is_done() && response_.status / 100 != 1; }
  Response take() { return std::move(response_); }

 private:
  class Message final : public beast_http::basic_parser<false> {
   public:
    explicit Message(Parser& owner) : owner_(owner) {
      header_limit(owner.limits_.header_bytes);
      body_limit(boost::none);  // counted here, where it is kept
      skip(owner.to_head_);
    }

   private:
    void on_request_impl(beast_http::verb, BeastView, BeastView, int, error_code&) override {}
    void on_response_impl(int status, BeastView, int, error_code&) override {
      owner_.response_.status = status;
    }
    void on_field_impl(beast_http::field, BeastView name, BeastView value, error_code&) override {
      if (is_header_done()) return;  // fields behind a chunked body
      owner_.response_.headers.add(std::string(view(name)), std::string(view(value)));
    }
    void on_header_impl(error_code& ec) override { owner_.on_header(ec); }
    void on_body_init_impl(const boost::optional<uint64_t>&, error_code&) override {}
    size_t on_body_impl(BeastView bytes, error_code& ec) override {
      owner_.on_body(view(bytes), ec);
      return bytes.size();
    }
    void on_chunk_header_impl(uint64_t, BeastView, error_code&) override {}
    size_t on_chunk_body_impl(uint64_t, BeastView bytes, error_code& ec) override {
      owner_.on_body(view(bytes), ec);
      return bytes.size();
    }
    void on_finish_impl(error_code&) override {}

    Parser& owner_;
  };

  void on_header(error_code& ec) {
    if (response_.status < 100 || response_.status == 101) ec = beast_http::error::bad_status;
    for (const auto& [name, value] : response_.headers) {
      if (equal_ignoring_case(name, "Transfer-Encoding") && !equal_ignoring_case(value, "chunked")) {
        ec = beast_http::error::bad_transfer_encoding;
      }
    }
  }

  void on_body(std::string_view bytes, error_code& ec) {
    if (on_piece_ != nullptr && response_.status / 100 == 2) {
      cancelled_ = !bytes.empty() && !(*on_piece_)(bytes);
      if (cancelled_) ec = beast_http::error::end_of_stream;
    } else if (bytes.size() > limits_.body_bytes - response_.body.size()) {
      ec = beast_http::error::body_limit;
    } else {
      response_.body.append(bytes);
    }
  }

  std::unexpected<Error> failure(error_code ec) const {
    if (cancelled_) return error(Code::kCancelled, "cancelled");
    if (ec == beast_http::error::header_limit) {
      return error(Code::kIo, "the answer's header has more than {} bytes", limits_.header_bytes);
    }
    if (ec == beast_http::error::body_limit) {
      return error(Code::kIo, "the answer has more than {} bytes", limits_.body_bytes);
    }
    return error(Code::kIo, "malformed answer: {}", ec.message());
  }

  const Limits limits_;
  const bool to_head_;
  const FunctionRef<bool(std::string_view)>* const on_piece_;
  size_t header_left_;  // of this answer and those before it that only say "Continue"
  bool cancelled_ = false;
  Response response_;
  std::optional<Message> message_;
};

ResponseParser::ResponseParser(const Limits& limits, bool to_head,
                               const FunctionRef<bool(std::string_view)>* on_piece)
    : parser_(std::make_unique<Parser>(limits, to_head, on_piece)) {}
ResponseParser::~ResponseParser() = default;

Result<size_t> ResponseParser::feed(std::string_view bytes) { return parser_->feed(bytes); }
Result<void> ResponseParser::feed_end() { return parser_->feed_end(); }
bool ResponseParser::done() const { return parser_->done(); }
Response ResponseParser::take() { return parser_->take(); }

}  // namespace quipu::http
