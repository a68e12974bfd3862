#include "http/message.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/beast/http/status.hpp>
#include <ostream>  // boost/core/detail/string_view.hpp needs it and does not include it

namespace quipu::http {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool is_token_char(char c) {
  const bool alphanumeric = (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z');
  return alphanumeric || (c != '\0' && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos);
}

bool is_token(std::string_view name) { return !name.empty() && std::ranges::all_of(name, is_token_char); }

bool belongs_to_transport(std::string_view name) {
  return equal_ignoring_case(name, "Content-Length") || equal_ignoring_case(name, "Transfer-Encoding") ||
         equal_ignoring_case(name, "Connection");
}

}  // namespace

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return lower(x) == lower(y); });
}

std::optional<std::string_view> Headers::find(std::string_view name) const {
  for (const auto& [key, value] : lines_) {
    if (equal_ignoring_case(key, name)) return value;
  }
  return std::nullopt;
}

Response error_response(int status, std::string_view sentence) {
  std::string body = fmt::format("{} {}", status, status_phrase(status));
  if (!sentence.empty()) body += ": ";
  for (const char c : sentence) body.push_back(static_cast<unsigned char>(c) < ' ' ? ' ' : c);
  return {
      .status = status, .headers = {{"Content-Type", "text/plain; charset=utf-8"}}, .body = std::move(body)};
}

std::string_view status_phrase(int status) {
  const auto known = boost::beast::http::int_to_status(static_cast<unsigned>(std::clamp(status, 0, 999)));
  if (known == boost::beast::http::status::unknown) return "Unknown";
  const auto phrase = boost::beast::http::obsolete_reason(known);
  return {phrase.data(), phrase.size()};
}

bool status_has_body(int status) { return status >= 200 && status != 204 && status != 304; }

void append_header_lines(std::string& out, const Headers& headers) {
  for (const auto& [name, value] : headers) {
    if (!is_token(name) || belongs_to_transport(name)) continue;
    out.append(name).append(": ");
    for (const char c : value) out.push_back(c == '\r' || c == '\n' || c == '\0' ? ' ' : c);
    out.append("\r\n");
  }
}

}  // namespace quipu::http
