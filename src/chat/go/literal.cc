#include "chat/go/literal.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>

#include "base/checked.h"
#include "chat/go/text.h"

namespace quipu::gotmpl {

namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

int digit_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char l = lower(c);
  return l >= 'a' && l <= 'f' ? l - 'a' + 10 : 99;
}

bool is_signed(std::string_view text) { return !text.empty() && (text[0] == '+' || text[0] == '-'); }

int prefix_base(std::string_view digits) {
  if (digits.size() < 2 || digits[0] != '0') return 10;
  switch (lower(digits[1])) {
    case 'x':
      return 16;
    case 'o':
      return 8;
    case 'b':
      return 2;
    default:
      return 10;
  }
}

// Underscores stand between digits only; a base prefix counts as a digit.
bool underscores_fit(std::string_view digits) {
  const int base = prefix_base(digits);
  bool after_digit = base != 10, after_underscore = false;
  for (const char c : digits.substr(base == 10 ? 0 : 2)) {
    if (c == '_') {
      if (!after_digit) return false;
    } else if (after_underscore && digit_value(c) >= (base == 16 ? 16 : 10)) {
      return false;
    }
    after_underscore = c == '_';
    after_digit = digit_value(c) < (base == 16 ? 16 : 10);
  }
  return !after_underscore;
}

std::string without_underscores(std::string_view text) {
  std::string out(text);
  std::erase(out, '_');
  return out;
}

// An integer without its sign, in any base. A leading 0 means octal.
std::optional<uint64_t> parse_magnitude(std::string_view digits) {
  if (digits.empty() || !underscores_fit(digits)) return std::nullopt;
  int base = prefix_base(digits);
  size_t start = base == 10 ? 0 : 2;
  if (base == 10 && digits.size() > 1 && digits[0] == '0') {
    base = 8;
    start = 1;
  }
  const std::string plain = without_underscores(digits.substr(start));
  if (plain.empty()) return std::nullopt;
  uint64_t value = 0;
  for (const char c : plain) {
    const int d = digit_value(c);
    if (d >= base) return std::nullopt;
    const auto shifted = checked_mul<uint64_t>(value, static_cast<uint64_t>(base));
    const auto sum = shifted ? checked_add<uint64_t>(*shifted, static_cast<uint64_t>(d)) : std::nullopt;
    if (!sum) return std::nullopt;
    value = *sum;
  }
  return value;
}

struct FloatParts {
  bool hex = false;
  bool huge = false;  // what is out of range is too large, not too small
};

// The syntax of a floating-point number without its sign. Hexadecimal ones need an exponent.
std::optional<FloatParts> check_float(std::string_view digits) {
  FloatParts parts{.hex = prefix_base(digits) == 16 && digits.size() > 2};
  const int base = parts.hex ? 16 : 10;
  size_t i = parts.hex ? 2 : 0;
  bool point = false, any = false, leading = true;
  int64_t places = 0;  // of the first digit that is not 0, before (or, negative, behind) the point
  for (; i < digits.size(); ++i) {
    const char c = digits[i];
    if (c == '_') continue;
    if (c == '.') {
      if (point) break;
      point = true;
    } else if (digit_value(c) < base) {
      any = true;
      if (c != '0') leading = false;
      if (!point && !leading) ++places;
      if (point && leading) --places;
    } else {
      break;
    }
  }
  if (!any) return std::nullopt;
  int64_t exponent = 0;
  if (i < digits.size() && lower(digits[i]) == (parts.hex ? 'p' : 'e')) {
    ++i;
    const bool negative = i < digits.size() && digits[i] == '-';
    if (i < digits.size() && is_signed(digits.substr(i))) ++i;
    if (i >= digits.size() || digits[i] < '0' || digits[i] > '9') return std::nullopt;
    for (; i < digits.size() && (digits[i] == '_' || (digits[i] >= '0' && digits[i] <= '9')); ++i)
      if (digits[i] != '_' && exponent < 1'000'000'000) exponent = exponent * 10 + (digits[i] - '0');
    if (negative) exponent = -exponent;
  } else if (parts.hex) {
    return std::nullopt;
  }
  if (i != digits.size() || (digits.find('_') != std::string_view::npos && !underscores_fit(digits)))
    return std::nullopt;
  parts.huge = exponent + (parts.hex ? 4 : 1) * places > 0;
  return parts;
}

// nullopt: no number, or too large.
std::optional<double> parse_float(std::string_view text) {
  const bool negative = !text.empty() && text[0] == '-';
  const std::string_view digits = is_signed(text) ? text.substr(1) : text;
  const auto parts = check_float(digits);
  if (!parts) return std::nullopt;
  const std::string plain = without_underscores(parts->hex ? digits.substr(2) : digits);
  double value = 0;
  const auto [end, status] =
      std::from_chars(plain.data(), plain.data() + plain.size(), value,
                      parts->hex ? std::chars_format::hex : std::chars_format::general);
  if (status == std::errc::result_out_of_range) {
    if (parts->huge) return std::nullopt;
    value = 0;
  } else if (status != std::errc() || end != plain.data() + plain.size()) {
    return std::nullopt;
  }
  return negative ? -value : value;
}

Number complex_number(double real, double imaginary) {
  return {Number::Kind::kComplex, 0, {real, imaginary}};
}

std::unexpected<std::string> invalid_syntax() { return std::unexpected<std::string>("invalid syntax"); }

// One character of a quoted literal, an escape sequence or itself, added to `out`; `text` moves behind it.
// \x and octal escapes make bytes, everything else characters.
bool take_character(std::string_view& text, char quote, std::string& out, char32_t& value) {
  if (text[0] != '\\') {
    if (text[0] == quote) return false;
    const Rune r = decode_rune(text);
    text.remove_prefix(r.width);
    append_rune(out, value = r.value);
    return true;
  }
  if (text.size() < 2) return false;
  text.remove_prefix(1);
  const auto digits = [&](size_t n, int base) -> std::optional<uint32_t> {
    if (text.size() < n) return std::nullopt;
    uint32_t v = 0;
    for (size_t i = 0; i < n; ++i) {
      const int d = digit_value(text[i]);
      if (d >= base) return std::nullopt;
      v = v * static_cast<uint32_t>(base) + static_cast<uint32_t>(d);
    }
    text.remove_prefix(n);
    return v;
  };
  const char c = text[0];
  if (c == 'x' || (c >= '0' && c <= '7')) {
    if (c == 'x') text.remove_prefix(1);
    const auto byte = c == 'x' ? digits(2, 16) : digits(3, 8);
    if (!byte || *byte > 255) return false;
    out += static_cast<char>(*byte);
    value = *byte;
    return true;
  }
  text.remove_prefix(1);
  if (c == 'u' || c == 'U') {
    const auto rune = digits(c == 'u' ? 4 : 8, 16);
    if (!rune || !is_valid_rune(*rune)) return false;
    append_rune(out, value = *rune);
    return true;
  }
  constexpr std::string_view kLetters = "abfnrtv\\", kMeanings = "\a\b\f\n\r\t\v\\";
  const size_t i = kLetters.find(c);
  if (i == std::string_view::npos && c != quote) return false;
  out += i == std::string_view::npos ? c : kMeanings[i];
  value = static_cast<char32_t>(out.back());
  return true;
}

}  // namespace

Literal<Number> parse_number(std::string_view text) {
  if (text.ends_with('i')) {
    if (const auto f = parse_float(text.substr(0, text.size() - 1))) return complex_number(0, *f);
  }
  const bool negative = text.starts_with('-');
  if (const auto magnitude = parse_magnitude(is_signed(text) ? text.substr(1) : text)) {
    constexpr auto kMax = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
    if (*magnitude <= kMax + (negative ? 1 : 0))
      return Number{Number::Kind::kInt, static_cast<int64_t>(negative ? 0 - *magnitude : *magnitude), {}};
    if (!is_signed(text)) return Number{Number::Kind::kTooLarge, 0, static_cast<double>(*magnitude)};
  }
  const auto f = parse_float(text);
  if (!f) return std::unexpected("illegal number syntax: " + quote(text));
  if (text.find_first_of(".eEpP") == std::string_view::npos)
    return std::unexpected("integer overflow: " + quote(text));
  return Number{Number::Kind::kFloat, 0, *f};
}

Literal<Number> parse_complex(std::string_view text) {
  // The sign between the parts is the first one that is not at the beginning or in an exponent.
  const bool hex = prefix_base(is_signed(text) ? text.substr(1) : text) == 16;
  size_t at = 1;
  for (; at < text.size(); ++at)
    if (is_signed(text.substr(at)) && lower(text[at - 1]) != 'p' && (hex || lower(text[at - 1]) != 'e'))
      break;
  if (at < text.size() && text.ends_with('i')) {
    const auto real = parse_float(text.substr(0, at));
    const auto imaginary = parse_float(text.substr(at, text.size() - at - 1));
    if (real && imaginary) return complex_number(*real, *imaginary);
  }
  return std::unexpected<std::string>("syntax error scanning complex number");
}

Literal<Number> parse_character(std::string_view text) {
  std::string_view rest = text.substr(1);
  std::string bytes;
  char32_t value = 0;
  if (rest.empty() || !take_character(rest, '\'', bytes, value)) return invalid_syntax();
  if (rest != "'") return std::unexpected("malformed character constant: " + std::string(text));
  return Number{Number::Kind::kInt, static_cast<int64_t>(value), {}};
}

Literal<std::string> unquote(std::string_view text) {
  if (text.size() < 2) return invalid_syntax();
  std::string_view rest = text.substr(1, text.size() - 2);
  std::string out;
  if (text[0] == '`') {
    out = rest;
    std::erase(out, '\r');
    return out;
  }
  out.reserve(rest.size());
  char32_t value = 0;
  while (!rest.empty())
    if (!take_character(rest, '"', out, value)) return invalid_syntax();
  return out;
}

}  // namespace quipu::gotmpl
