#include "server/go_json.h"

#include <fmt/format.h>
#include <time.h>

#include <charconv>
#include <cmath>

namespace quipu::server {

namespace {

// The character at the front of s and its length; length 0: no UTF-8.
struct Character {
  uint32_t code = 0;
  size_t bytes = 0;
};
Character front(std::string_view s) {
  const auto b = [s](size_t i) { return i < s.size() ? static_cast<uint8_t>(s[i]) : 0u; };
  const auto tail = [&](size_t i) { return (b(i) & 0xc0) == 0x80; };
  const uint32_t c = b(0);
  if (c < 0x80) return {c, 1};
  if (c >= 0xc2 && c < 0xe0 && tail(1)) return {(c & 0x1f) << 6 | (b(1) & 0x3f), 2};
  if (c >= 0xe0 && c < 0xf0 && tail(1) && tail(2)) {
    const uint32_t code = (c & 0xf) << 12 | (b(1) & 0x3f) << 6 | (b(2) & 0x3f);
    if (code >= 0x800 && (code < 0xd800 || code > 0xdfff)) return {code, 3};
  }
  if (c >= 0xf0 && c < 0xf5 && tail(1) && tail(2) && tail(3)) {
    const uint32_t code = (c & 7) << 18 | (b(1) & 0x3f) << 12 | (b(2) & 0x3f) << 6 | (b(3) & 0x3f);
    if (code >= 0x10000 && code <= 0x10ffff) return {code, 4};
  }
  return {};
}

// Go: the shortest digits; exponents below 1e-6 and from 1e21 on, without a zero in front of one digit.
void append_number(std::string& out, double v) {
  if (!std::isfinite(v)) {
    out += "null";
    return;
  }
  const double magnitude = std::abs(v);
  const bool exponent = magnitude != 0 && (magnitude < 1e-6 || magnitude >= 1e21);
  char buffer[512];
  const auto [end, ec] = std::to_chars(buffer, buffer + sizeof buffer, v,
                                       exponent ? std::chars_format::scientific : std::chars_format::fixed);
  std::string text(buffer, ec == std::errc() ? end : buffer);
  if (const size_t e = text.find("e-0"); exponent && e != text.npos) text.erase(e + 2, 1);
  out += text;
}

void append(std::string& out, const Json& v) {
  switch (v.type()) {
    case Json::value_t::object: {
      out += '{';
      bool first = true;
      for (const auto& [key, member] : v.items()) {
        if (!first) out += ',';
        first = false;
        append_go_string(out, key);
        out += ':';
        append(out, member);
      }
      out += '}';
      break;
    }
    case Json::value_t::array: {
      out += '[';
      bool first = true;
      for (const Json& element : v) {
        if (!first) out += ',';
        first = false;
        append(out, element);
      }
      out += ']';
      break;
    }
    case Json::value_t::string:
      append_go_string(out, v.get_ref<const std::string&>());
      break;
    case Json::value_t::boolean:
      out += v.get<bool>() ? "true" : "false";
      break;
    case Json::value_t::number_integer:
      out += fmt::format("{}", v.get<int64_t>());
      break;
    case Json::value_t::number_unsigned:
      out += fmt::format("{}", v.get<uint64_t>());
      break;
    case Json::value_t::number_float:
      append_number(out, v.get<double>());
      break;
    default:
      out += "null";
  }
}

std::string time_text(int64_t unix_ns, bool local) {
  time_t seconds = unix_ns / 1'000'000'000;
  int64_t ns = unix_ns % 1'000'000'000;
  if (ns < 0) {
    ns += 1'000'000'000;
    --seconds;
  }
  tm t{};
  if (local)
    localtime_r(&seconds, &t);
  else
    gmtime_r(&seconds, &t);
  std::string out = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", t.tm_year + 1900, t.tm_mon + 1,
                                t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec);
  if (ns != 0) {
    std::string digits = fmt::format("{:09}", ns);
    digits.erase(digits.find_last_not_of('0') + 1);
    out += "." + digits;
  }
  const long offset = local ? t.tm_gmtoff / 60 : 0;
  if (offset == 0) return out + "Z";
  return out +
         fmt::format("{}{:02}:{:02}", offset < 0 ? '-' : '+', std::abs(offset) / 60, std::abs(offset) % 60);
}

}  // namespace

void append_go_string(std::string& out, std::string_view s) {
  out += '"';
  while (!s.empty()) {
    const Character c = front(s);
    if (c.bytes == 0) {
      out += "\\ufffd";
      s.remove_prefix(1);
      continue;
    }
    switch (c.code) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (c.code < 0x20 || c.code == '<' || c.code == '>' || c.code == '&' || c.code == 0x2028 ||
            c.code == 0x2029)
          out += fmt::format("\\u{:04x}", c.code);
        else
          out.append(s.substr(0, c.bytes));
    }
    s.remove_prefix(c.bytes);
  }
  out += '"';
}

std::string go_json(const Json& value) {
  std::string out;
  append(out, value);
  return out;
}

std::string utc_time(int64_t unix_ns) { return time_text(unix_ns, false); }
std::string local_time(int64_t unix_ns) { return time_text(unix_ns, true); }

int64_t now_unix_ns() {
  timespec t{};
  clock_gettime(CLOCK_REALTIME, &t);
  return static_cast<int64_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec;
}

}  // namespace quipu::server
