#include "base/go_json.h"

#include <array>
#include <charconv>
#include <cmath>
#include <vector>

#include "base/utf8.h"

namespace quipu {

namespace {

constexpr char kHex[] = "0123456789abcdef";

// The fewest digits that tell a number from its neighbours: 0.DIGITS * 10^point.
struct Shortest {
  bool negative = false;
  std::string digits;
  int point = 0;
};

Shortest shortest(double value) {
  std::array<char, 64> buffer;
  const auto end =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::scientific);
  std::string_view text(buffer.data(), static_cast<size_t>(end.ptr - buffer.data()));
  Shortest s;
  s.negative = text.starts_with('-');
  if (s.negative) text.remove_prefix(1);
  const size_t e = text.find('e');
  for (const char c : text.substr(0, e))
    if (c != '.') s.digits += c;
  const char* exponent = text.data() + e + 1;
  if (*exponent == '+') ++exponent;
  std::from_chars(exponent, text.data() + text.size(), s.point);
  ++s.point;
  return s;
}

std::string plain(const Shortest& s) {
  std::string out = s.negative ? "-" : "";
  const int n = static_cast<int>(s.digits.size());
  if (s.point <= 0) return out + "0." + std::string(static_cast<size_t>(-s.point), '0') + s.digits;
  if (s.point >= n) return out + s.digits + std::string(static_cast<size_t>(s.point - n), '0');
  const auto whole = static_cast<size_t>(s.point);
  return out + s.digits.substr(0, whole) + "." + s.digits.substr(whole);
}

// The exponent has at least `exponent_digits` digits.
std::string scientific(const Shortest& s, size_t exponent_digits) {
  std::string out = s.negative ? "-" : "";
  out += s.digits[0];
  if (s.digits.size() > 1) out += "." + s.digits.substr(1);
  const int exponent = s.point - 1;
  std::string magnitude = std::to_string(exponent < 0 ? -exponent : exponent);
  if (magnitude.size() < exponent_digits) magnitude.insert(0, exponent_digits - magnitude.size(), '0');
  return out + (exponent < 0 ? "e-" : "e+") + magnitude;
}

template <class Json>
void append_scalar(std::string& out, const Json& v) {
  switch (v.type()) {
    case Json::value_t::boolean:
      out += v.template get<bool>() ? "true" : "false";
      break;
    case Json::value_t::number_integer:
      out += std::to_string(v.template get<int64_t>());
      break;
    case Json::value_t::number_unsigned:
      out += std::to_string(v.template get<uint64_t>());
      break;
    case Json::value_t::number_float:
      out += go_json_number(v.template get<double>());
      break;
    case Json::value_t::string:
      append_go_json_string(out, v.template get_ref<const std::string&>());
      break;
    default:
      out += "null";
  }
}

// Without recursion: how deep a value goes may be a stranger's choice.
template <class Json>
std::string write(const Json& value) {
  struct Open {
    const Json* container;
    typename Json::const_iterator next;
  };
  std::string out;
  std::vector<Open> open;
  const auto begin = [&](const Json& v) {
    if (!v.is_structured()) return append_scalar(out, v);
    out += v.is_object() ? '{' : '[';
    open.push_back({&v, v.cbegin()});
  };
  begin(value);
  while (!open.empty()) {
    const Json& container = *open.back().container;
    auto& next = open.back().next;
    if (next == container.cend()) {
      out += container.is_object() ? '}' : ']';
      open.pop_back();
      continue;
    }
    if (next != container.cbegin()) out += ',';
    if (container.is_object()) {
      append_go_json_string(out, next.key());
      out += ':';
    }
    const Json& element = *next;
    ++next;
    begin(element);
  }
  return out;
}

}  // namespace

std::string go_json(const nlohmann::json& value) { return write(value); }
std::string go_json(const nlohmann::ordered_json& value) { return write(value); }

void append_go_json_string(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    const Utf8Char c = decode_utf8(text);
    if (!c.valid) {
      out += "\\ufffd";  // one for each byte
      text.remove_prefix(1);
      continue;
    }
    switch (c.value) {
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
      case 0x2028:
        out += "\\u2028";
        break;
      case 0x2029:
        out += "\\u2029";
        break;
      default:
        if (c.value < 0x20 || c.value == '<' || c.value == '>' || c.value == '&') {
          out += "\\u00";
          out += kHex[c.value >> 4];
          out += kHex[c.value & 15];
        } else {
          out += text.substr(0, c.bytes);
        }
    }
    text.remove_prefix(c.bytes);
  }
  out += '"';
}

std::string go_json_number(double value) {
  if (!std::isfinite(value)) return "null";
  if (value == 0) return std::signbit(value) ? "-0" : "0";
  const double magnitude = std::abs(value);
  const Shortest s = shortest(value);
  return magnitude < 1e-6 || magnitude >= 1e21 ? scientific(s, 1) : plain(s);
}

std::string go_number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-Inf" : "+Inf";
  if (value == 0) return std::signbit(value) ? "-0" : "0";
  const Shortest s = shortest(value);
  const int exponent = s.point - 1;
  return exponent < -4 || exponent >= 6 ? scientific(s, 2) : plain(s);
}

double shortest_double(float value) {
  if (!std::isfinite(value)) return value;
  std::array<char, 64> buffer;
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  double out = value;
  std::from_chars(buffer.data(), end.ptr, out);
  return out;
}

}  // namespace quipu
