#include "http/request_parser.h"

#include <fmt/format.h>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <ostream>  // boost/core/detail/string_view.hpp needs it and does not include it

namespace quipu::http {
namespace {

namespace beast_http = boost::beast::http;
using boost::beast::error_code;
using BeastView = boost::beast::string_view;

std::string_view view(BeastView text) { return {text.data(), text.size()}; }

}  // namespace

class RequestParser::Parser final : public beast_http::basic_parser<true> {
 public:
  explicit Parser(const Limits& limits) {
    header_limit(limits.header_bytes);
    body_limit(limits.body_bytes);
  }

  Request request;
  bool http11 = false, expects_continue = false;
  int bad_status = 0;  // set by a check of our own, with its sentence
  const char* bad_sentence = "";

 private:
  void reject(int status, const char* sentence, error_code& ec) {
    bad_status = status;
    bad_sentence = sentence;
    ec = beast_http::error::bad_field;
  }

  void on_request_impl(beast_http::verb, BeastView method, BeastView target, int version,
                       error_code&) override {
    request.method = view(method);
    request.target = view(target);
    http11 = version >= 11;
  }

  void on_field_impl(beast_http::field, BeastView name, BeastView value, error_code&) override {
    // Fields behind a chunked body are not read: they could say something else than the header did.
    if (!is_header_done()) request.headers.add(std::string(view(name)), std::string(view(value)));
  }

  void on_header_impl(error_code& ec) override {
    size_t hosts = 0;
    for (const auto& [name, value] : request.headers) {
      if (equal_ignoring_case(name, "Host")) ++hosts;
      if (equal_ignoring_case(name, "Transfer-Encoding")) {
        if (!http11) return reject(400, "HTTP/1.0 knows no Transfer-Encoding", ec);
        if (!equal_ignoring_case(value, "chunked"))
          return reject(501, "the only Transfer-Encoding known is chunked", ec);
      }
      if (equal_ignoring_case(name, "Expect")) {
        if (!equal_ignoring_case(value, "100-continue"))
          return reject(417, "the only Expect known is 100-continue", ec);
        expects_continue = http11;
      }
    }
    if (hosts > 1) return reject(400, "more than one Host line", ec);
    if (hosts == 0 && http11) return reject(400, "the Host line is missing", ec);
  }

  size_t on_body_impl(BeastView bytes, error_code&) override {
    request.body.append(view(bytes));
    return bytes.size();
  }
  size_t on_chunk_body_impl(uint64_t, BeastView bytes, error_code&) override {
    request.body.append(view(bytes));
    return bytes.size();
  }
  // Nothing is reserved for what a Content-Length only promises.
  void on_body_init_impl(const boost::optional<uint64_t>&, error_code&) override {}
  void on_chunk_header_impl(uint64_t, BeastView, error_code&) override {}
  void on_finish_impl(error_code&) override {}
  void on_response_impl(int, BeastView, int, error_code&) override {}
};

RequestParser::RequestParser(const Limits& limits)
    : header_limit_(limits.header_bytes),
      header_left_(limits.header_bytes),
      parser_(std::make_unique<Parser>(limits)) {}
RequestParser::~RequestParser() = default;

// Beast is shown a window at a time. Whatever has to be whole to be read (the header, one chunk's header, the
// fields behind a body) has to fit into it, in however many pieces the bytes come. A body just passes
// through.
size_t RequestParser::feed(std::string_view bytes) {
  size_t taken = 0;
  while (taken < bytes.size() && !parser_->is_done()) {
    const bool in_header = !parser_->is_header_done();
    const size_t window = in_header ? header_left_ : header_limit_;
    const std::string_view rest = bytes.substr(taken, window);
    error_code ec = beast_http::error::need_more;
    size_t n = 0;
    if (!rest.empty()) n = parser_->put(boost::asio::const_buffer(rest.data(), rest.size()), ec);
    taken += n;
    if (in_header) header_left_ -= n;
    if (!ec) continue;
    if (ec == beast_http::error::need_more && rest.size() < window) break;
    if (parser_->bad_status != 0) {
      fail(parser_->bad_status, parser_->bad_sentence);
    } else if (ec == beast_http::error::need_more && !in_header) {
      fail(400, "malformed request: a chunk's header is too long");
    } else if (ec == beast_http::error::need_more || ec == beast_http::error::header_limit) {
      fail(431, fmt::format("the header has more than {} bytes", header_limit_));
    } else if (ec == beast_http::error::body_limit) {
      fail(413, "the body is too large");
    } else {
      fail(400, "malformed request: " + ec.message());
    }
    break;
  }
  return taken;
}

void RequestParser::fail(int status, std::string problem) {
  status_ = status;
  problem_ = std::move(problem);
}

bool RequestParser::header_done() const { return parser_->is_header_done(); }
bool RequestParser::done() const { return !failed() && parser_->is_done(); }
bool RequestParser::http11() const { return parser_->http11; }
bool RequestParser::keep_alive() const { return parser_->keep_alive(); }
bool RequestParser::expects_continue() const { return parser_->expects_continue; }
Request RequestParser::take() { return std::move(parser_->request); }

}  // namespace quipu::http
