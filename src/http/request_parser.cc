#include "http/request_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <ostream>  // boost/core/detail/string_view.hpp needs it and does not include it

namespace quipu::http {
namespace {

namespace beast_http = boost::beast::http;
using boost::beast::error_code;
using BeastView = boost::beast::string_view;

constexpr const char* kTooLarge = "the body is too large";

std::string_view view(BeastView text) { return {text.data(), text.size()}; }

// "GET / HTTP/3.0": well-formed but for the version.
bool asks_for_other_version(std::string_view bytes) {
  const std::string_view line = bytes.substr(0, bytes.find_first_of("\r\n"));
  const size_t first = line.find(' '), last = line.rfind(' ');
  if (first == line.npos || last == first || line.find(' ', first + 1) != last) return false;
  const std::string_view version = line.substr(last + 1);
  if (version == "HTTP/1.0" || version == "HTTP/1.1") return false;
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  return version.size() == 8 && version.starts_with("HTTP/") && digit(version[5]) && version[6] == '.' &&
         digit(version[7]);
}

// No user, path or blanks in it; what is left, names and addresses, is for others to judge.
bool may_be_host(std::string_view text) {
  static constexpr std::string_view kMarks = "!$%&'()*+,-.:;=[]_~";
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           kMarks.find(c) != kMarks.npos;
  });
}

}  // namespace

class RequestParser::Parser final : public beast_http::basic_parser<true> {
 public:
  explicit Parser(uint32_t limit) {
    header_limit(limit);
    body_limit(boost::none);  // until it is chosen
  }

  Request request;
  ToBody to_body;
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
      if (equal_ignoring_case(name, "Host")) {
        ++hosts;
        if (!may_be_host(value)) return reject(400, "malformed Host header", ec);
      }
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
    if (hosts == 0 && http11) return reject(400, "missing required Host header", ec);
  }

  size_t on_body(BeastView bytes) {
    if (to_body)
      to_body(view(bytes));
    else
      request.body.append(view(bytes));
    return bytes.size();
  }
  size_t on_body_impl(BeastView bytes, error_code&) override { return on_body(bytes); }
  size_t on_chunk_body_impl(uint64_t, BeastView bytes, error_code&) override { return on_body(bytes); }
  // Nothing is reserved for what a Content-Length only promises.
  void on_body_init_impl(const boost::optional<uint64_t>&, error_code&) override {}
  void on_chunk_header_impl(uint64_t, BeastView, error_code&) override {}
  void on_finish_impl(error_code&) override {}
  void on_response_impl(int, BeastView, int, error_code&) override {}
};

RequestParser::RequestParser(uint32_t header_limit)
    : header_limit_(header_limit),
      header_left_(header_limit),
      parser_(std::make_unique<Parser>(header_limit)) {}
RequestParser::~RequestParser() = default;

// Beast is shown a window at a time. Whatever has to be whole to be read (the header, one chunk's header, the
// fields behind a body) has to fit into it, in however many pieces the bytes come. A body just passes
// through.
size_t RequestParser::feed(std::string_view bytes) {
  size_t taken = 0;
  while (taken < bytes.size() && !parser_->is_done()) {
    const bool in_header = !parser_->is_header_done();
    if (!in_header && !body_chosen_) break;
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
      fail(400, "a chunk's header is too long");
    } else if (ec == beast_http::error::need_more || ec == beast_http::error::header_limit) {
      fail(431, "");
    } else if (ec == beast_http::error::body_limit) {
      fail(413, kTooLarge);
    } else {
      const bool version = in_header && asks_for_other_version(bytes);
      fail(version ? 505 : 400, version ? "unsupported protocol version" : "");
    }
    break;
  }
  return taken;
}

void RequestParser::choose_body(uint64_t limit, ToBody to) {
  body_chosen_ = true;
  parser_->to_body = std::move(to);
  parser_->body_limit(limit);  // of a chunked body
  if (parser_->content_length().value_or(0) > limit) fail(413, kTooLarge);
}

void RequestParser::discard_body() {
  body_chosen_ = true;
  parser_->to_body = [](std::string_view) {};
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
uint64_t RequestParser::held_bytes() const {
  return header_limit_ - header_left_ + parser_->request.body.size();
}
const Request& RequestParser::head() const { return parser_->request; }
std::optional<uint64_t> RequestParser::rest_of_body() const {
  if (parser_->is_done()) return 0;
  const auto rest = parser_->content_length_remaining();
  return rest ? std::optional<uint64_t>(*rest) : std::nullopt;
}
Request RequestParser::take() { return std::move(parser_->request); }

}  // namespace quipu::http
