#include "chat/jinja/literal.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "chat/jinja/unicode.h"

namespace quipu::jinja {

namespace {

bool is_ascii_digit(char c) { return c >= '0' && c <= '9'; }

int digit_value(char c) {
  if (is_ascii_digit(c)) return c - '0';
  const char lower = static_cast<char>(c | 32);
  return lower >= 'a' && lower <= 'z' ? lower - 'a' + 10 : 99;
}

// Digits of a base, single underscores between them: how far they go. `lead`: an underscore may come first.
size_t match_digits(std::string_view text, size_t at, int base, bool lead) {
  while (at < text.size()) {
    if (digit_value(text[at]) < base) {
      ++at;
      lead = true;
    } else if (text[at] == '_' && lead && at + 1 < text.size() && digit_value(text[at + 1]) < base) {
      at += 2;
    } else {
      break;
    }
  }
  return at;
}

int prefix_base(char c) {
  switch (c | 32) {
    case 'b':
      return 2;
    case 'o':
      return 8;
    case 'x':
      return 16;
    default:
      return 0;
  }
}

// Digits without sign and prefix; underscores are skipped.
bool accumulate(std::string_view digits, int base, Int& out) {
  out = 0;
  for (const char c : digits) {
    if (c == '_') continue;
    if (__builtin_mul_overflow(out, static_cast<Int>(base), &out) ||
        __builtin_add_overflow(out, static_cast<Int>(digit_value(c)), &out))
      return false;
  }
  return true;
}

bool is_octal(char c) { return c >= '0' && c <= '7'; }

// Digits of other scripts as ASCII's.
std::string_view with_ascii_digits(std::string_view text, std::string& storage) {
  if (std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; }))
    return text;
  for (size_t at = 0; at < text.size();) {
    const char32_t c = next_char(text, at);
    if (is_decimal(c))
      storage += static_cast<char>('0' + decimal_value(c));
    else
      append_char(storage, c);
  }
  return storage;
}

// \xHH, \uHHHH, \UHHHHHHHH
bool decode_hex(std::string_view body, size_t& at, size_t n, char32_t& out) {
  out = 0;
  for (size_t i = 0; i < n; ++i) {
    if (at + i >= body.size() || digit_value(body[at + i]) >= 16) return false;
    out = out << 4 | static_cast<char32_t>(digit_value(body[at + i]));
  }
  at += n;
  return true;
}

// Two escapes that make one character of UTF-16 are joined; what Python would keep as half a character is
// replaced.
char32_t join_surrogates(std::string_view body, size_t& at, char32_t c) {
  if (c >= 0xd800 && c < 0xdc00 && body.substr(at).starts_with("\\u")) {
    size_t next = at + 2;
    char32_t low = 0;
    if (decode_hex(body, next, 4, low) && low >= 0xdc00 && low < 0xe000) {
      at = next;
      return 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }
  }
  return c >= 0xd800 && c < 0xe000 ? 0xfffd : c;
}

}  // namespace

NumberSpan match_number(std::string_view text, bool may_be_float) {
  if (may_be_float) {
    size_t end = match_digits(text, 0, 10, false);
    bool is_float = false;
    if (end + 1 < text.size() && text[end] == '.' && is_ascii_digit(text[end + 1])) {
      end = match_digits(text, end + 1, 10, false);
      is_float = true;
    }
    if (end < text.size() && (text[end] | 32) == 'e') {
      size_t at = end + 1;
      if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
      if (at < text.size() && is_ascii_digit(text[at])) {
        end = match_digits(text, at, 10, false);
        is_float = true;
      }
    }
    if (is_float) return {end, true};
  }
  if (text[0] != '0') return {match_digits(text, 0, 10, false), false};
  if (const int base = text.size() > 1 ? prefix_base(text[1]) : 0; base != 0) {
    const size_t end = match_digits(text, 2, base, true);
    if (end > 2) return {end, false};
  }
  return {match_digits(text, 0, 1, false), false};
}

bool parse_integer_literal(std::string_view text, Int& out) {
  const int base = text.size() > 1 && text[0] == '0' ? prefix_base(text[1]) : 0;
  return base != 0 ? accumulate(text.substr(2), base, out) : accumulate(text, 10, out);
}

double parse_float_literal(std::string_view text) { return parse_float(text).value_or(0); }

bool decode_string_literal(std::string_view body, std::string& out, std::string_view& error) {
  out.clear();
  size_t at = 0;
  while (at < body.size()) {
    const size_t slash = std::min(body.find('\\', at), body.size());
    out.append(body, at, slash - at);
    at = slash;
    if (at == body.size()) break;
    const char c = body[at + 1];
    at += 2;
    char32_t code = 0;
    switch (c) {
      case '\n':
        break;
      case '\\':
      case '\'':
      case '"':
        out += c;
        break;
      case 'a':
        out += '\a';
        break;
      case 'b':
        out += '\b';
        break;
      case 'f':
        out += '\f';
        break;
      case 'n':
        out += '\n';
        break;
      case 'r':
        out += '\r';
        break;
      case 't':
        out += '\t';
        break;
      case 'v':
        out += '\v';
        break;
      case 'x':
        if (!decode_hex(body, at, 2, code)) return error = "truncated \\xXX escape", false;
        append_char(out, code);
        break;
      case 'u':
        if (!decode_hex(body, at, 4, code)) return error = "truncated \\uXXXX escape", false;
        append_char(out, join_surrogates(body, at, code));
        break;
      case 'U':
        if (!decode_hex(body, at, 8, code)) return error = "truncated \\UXXXXXXXX escape", false;
        if (code > 0x10ffff) return error = "illegal Unicode character", false;
        append_char(out, join_surrogates(body, at, code));
        break;
      case 'N':
        return error = "characters by name (\\N{...}) are not supported", false;
      default:
        if (is_octal(c)) {
          code = static_cast<char32_t>(c - '0');
          for (int i = 0; i < 2 && at < body.size() && is_octal(body[at]); ++i)
            code = code * 8 + static_cast<char32_t>(body[at++] - '0');
          append_char(out, code);
        } else if (static_cast<unsigned char>(c) < 0x80) {
          out += '\\';
          out += c;
        } else {
          // Jinja decodes the text in two rounds: the backslash escapes the escape of the character.
          --at;
          code = next_char(body, at);
          out += code < 0x100     ? fmt::format("\\x{:02x}", static_cast<uint32_t>(code))
                 : code < 0x10000 ? fmt::format("\\u{:04x}", static_cast<uint32_t>(code))
                                  : fmt::format("\\U{:08x}", static_cast<uint32_t>(code));
        }
    }
  }
  return true;
}

std::optional<Int> parse_int(std::string_view text, int base, bool& overflow) {
  overflow = false;
  std::string storage;
  text = with_ascii_digits(trim(text), storage);
  bool negative = false;
  if (!text.empty() && (text[0] == '+' || text[0] == '-')) {
    negative = text[0] == '-';
    text.remove_prefix(1);
  }
  bool prefixed = false;
  if (text.size() > 1 && text[0] == '0') {
    const int prefix = prefix_base(text[1]);
    if (prefix != 0 && (base == 0 || base == prefix)) {
      base = prefix;
      text.remove_prefix(2);
      prefixed = true;
    }
  }
  const bool guess = base == 0;
  if (guess) base = 10;
  if (text.empty() || match_digits(text, 0, base, prefixed) != text.size()) return std::nullopt;
  Int value = 0;
  if (!accumulate(text, base, value)) {
    overflow = true;
    return std::nullopt;
  }
  if (guess && text[0] == '0' && value != 0) return std::nullopt;  // "012" could be octal
  return negative ? -value : value;
}

std::optional<double> parse_float(std::string_view text) {
  std::string storage;
  text = with_ascii_digits(trim(text), storage);
  bool negative = false;
  if (!text.empty() && (text[0] == '+' || text[0] == '-')) {
    negative = text[0] == '-';
    text.remove_prefix(1);
  }
  const std::string lower = text.size() <= 8 ? to_lower(text) : std::string();
  double value = 0;
  if (lower == "inf" || lower == "infinity") {
    value = std::numeric_limits<double>::infinity();
  } else if (lower == "nan") {
    value = std::numeric_limits<double>::quiet_NaN();
  } else {
    size_t at = match_digits(text, 0, 10, false);
    size_t n_digits = at;
    if (at < text.size() && text[at] == '.') {
      const size_t end = match_digits(text, at + 1, 10, false);
      n_digits += end - at - 1;
      at = end;
    }
    if (n_digits == 0) return std::nullopt;
    bool large_exponent_is_positive = true;
    if (at < text.size() && (text[at] | 32) == 'e') {
      ++at;
      if (at < text.size() && (text[at] == '+' || text[at] == '-'))
        large_exponent_is_positive = text[at++] == '+';
      const size_t end = match_digits(text, at, 10, false);
      if (end == at) return std::nullopt;
      at = end;
    }
    if (at != text.size()) return std::nullopt;
    std::string clean;
    std::copy_if(text.begin(), text.end(), std::back_inserter(clean), [](char c) { return c != '_'; });
    if (clean.ends_with('.')) clean.pop_back();
    const auto [end, code] = std::from_chars(clean.data(), clean.data() + clean.size(), value);
    if (code == std::errc::result_out_of_range) {
      // Too large or too small: the number of digits before the point decides where the exponent does not.
      const size_t e = clean.find_first_of("eE");
      const std::string_view mantissa = std::string_view(clean).substr(0, e);
      const bool zero = mantissa.find_first_not_of("0.") == std::string_view::npos;
      const bool huge = e == std::string::npos ? mantissa.find_first_of("123456789") < mantissa.find('.')
                                               : large_exponent_is_positive;
      value = !zero && huge ? std::numeric_limits<double>::infinity() : 0.0;
    } else if (code != std::errc() || end != clean.data() + clean.size()) {
      return std::nullopt;
    }
  }
  return negative ? -value : value;
}

}  // namespace quipu::jinja
