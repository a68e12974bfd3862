// Digits of numbers for both kinds of formats, and format specifications ("{:>8.3f}").
#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

#include "chat/jinja/format.h"
#include "chat/jinja/interp.h"
#include "chat/jinja/ops.h"
#include "chat/jinja/text.h"
#include "chat/jinja/unicode.h"

namespace quipu::jinja {

namespace {

std::string to_text(double value, std::chars_format form, int precision) {
  // Enough for the largest double written out.
  std::string out(static_cast<size_t>(precision) + 340, '\0');
  const auto result = std::to_chars(out.data(), out.data() + out.size(), value, form, precision);
  out.resize(static_cast<size_t>(result.ptr - out.data()));
  return out;
}

// The general form whose zeros at the end stay: always so many digits, always a point.
std::string general_with_zeros(double value, int precision) {
  const std::string scientific = to_text(value, std::chars_format::scientific, precision - 1);
  const size_t e = scientific.find('e');
  const int exponent = std::stoi(scientific.substr(e + 1));
  if (exponent >= -4 && exponent < precision) {
    const std::string fixed = to_text(value, std::chars_format::fixed, precision - 1 - exponent);
    return fixed.find('.') == std::string::npos ? fixed + "." : fixed;
  }
  return precision > 1 ? scientific : scientific.substr(0, e) + "." + scientific.substr(e);
}

}  // namespace

std::string float_digits(double magnitude, const NumberStyle& style) {
  const bool upper = style.type >= 'A' && style.type <= 'Z';
  std::string out;
  if (std::isnan(magnitude) || std::isinf(magnitude)) {
    out = std::isnan(magnitude) ? "nan" : "inf";
  } else {
    const int precision = style.precision < 0 ? 6 : style.precision;
    switch (style.type | 32) {
      case 'e':
        out = to_text(magnitude, std::chars_format::scientific, precision);
        break;
      case 'f':
        out = to_text(magnitude, std::chars_format::fixed, precision);
        break;
      default:
        out = style.alternate ? general_with_zeros(magnitude, std::max(precision, 1))
                              : to_text(magnitude, std::chars_format::general, std::max(precision, 1));
    }
    if (style.alternate && (style.type | 32) != 'g' && precision == 0) {
      const size_t e = std::min(out.find('e'), out.size());
      out.insert(e, ".");
    }
  }
  return upper ? to_upper(out) : out;
}

std::string integer_digits(unsigned __int128 magnitude, char type) {
  const unsigned base = type == 'b' ? 2 : type == 'o' ? 8 : (type | 32) == 'x' ? 16 : 10;
  const std::string_view digits = type == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
  std::string out;
  do {
    out += digits[static_cast<size_t>(magnitude % base)];
    magnitude /= base;
  } while (magnitude != 0);
  std::reverse(out.begin(), out.end());
  return out;
}

namespace {

struct Spec {
  std::string fill = " ";
  char align = '\0';
  char sign = '\0';
  bool alternate = false;
  bool zero = false;
  int width = 0;
  char grouping = '\0';
  int precision = -1;
  char type = '\0';
};

[[noreturn]] void invalid_spec() { fail(Fault::kValue, "Invalid format specifier"); }

bool is_align(char c) { return c == '<' || c == '>' || c == '=' || c == '^'; }

int parse_number(std::string_view text, size_t& at) {
  int64_t n = 0;
  while (at < text.size() && text[at] >= '0' && text[at] <= '9') {
    n = n * 10 + (text[at++] - '0');
    if (n > std::numeric_limits<int>::max()) fail(Fault::kValue, "Too many decimal digits in format string");
  }
  return static_cast<int>(n);
}

Spec parse_spec(std::string_view text) {
  Spec spec;
  size_t at = 0;
  const auto peek = [&] { return at < text.size() ? text[at] : '\0'; };
  bool fill_given = false;
  const size_t first = text.empty() ? 0 : char_bytes(text[0]);
  if (!text.empty() && first < text.size() && is_align(text[first])) {
    spec.fill = text.substr(0, first);
    fill_given = true;
    spec.align = text[first];
    at = first + 1;
  } else if (is_align(peek())) {
    spec.align = text[at++];
  }
  if (peek() == '+' || peek() == '-' || peek() == ' ') spec.sign = text[at++];
  if (peek() == 'z') ++at;  // no minus in front of a zero: taken, and seen by whoever reads `sign`
  if (peek() == '#') {
    spec.alternate = true;
    ++at;
  }
  if (peek() == '0') {
    spec.zero = true;
    if (!fill_given) spec.fill = "0";
    ++at;
  }
  spec.width = parse_number(text, at);
  if (peek() == ',' || peek() == '_') spec.grouping = text[at++];
  if (peek() == ',' || peek() == '_') fail(Fault::kValue, "Cannot specify both ',' and '_'.");
  if (peek() == '.') {
    ++at;
    if (peek() < '0' || peek() > '9') fail(Fault::kValue, "Format specifier missing precision");
    spec.precision = parse_number(text, at);
  }
  if (at < text.size()) spec.type = text[at++];
  if (at < text.size()) invalid_spec();
  const std::string_view grouped = spec.grouping == '_' ? "deEfFgG%xXob" : "deEfFgG%";
  if (spec.grouping != '\0' && spec.type != '\0' && grouped.find(spec.type) == std::string_view::npos)
    fail(Fault::kValue, "Cannot specify '{}' with '{}'.", spec.grouping, spec.type);
  return spec;
}

// `sign` (or prefix) stands before the padding where that goes between sign and digits.
std::string pad(Budget& budget, const Spec& spec, char default_align, std::string_view sign,
                std::string_view body) {
  const char align = spec.align != '\0' ? spec.align : default_align;
  const size_t length = count_chars(sign) + count_chars(body);
  TextBuilder out(budget);
  const size_t missing =
      static_cast<size_t>(spec.width) > length ? static_cast<size_t>(spec.width) - length : 0;
  const size_t left = align == '>' ? missing : align == '^' ? missing / 2 : 0;
  out.fill(left, spec.fill);
  out.add(sign);
  if (align == '=') out.fill(missing, spec.fill);
  out.add(body);
  if (align != '=') out.fill(missing - left, spec.fill);
  return out.take();
}

// Separators between groups of digits; where zeros pad, they are grouped too, up to `width` characters.
std::string group(std::string_view digits, char separator, size_t size, size_t width) {
  std::string reversed;
  size_t n = 0, at = digits.size();
  while (at > 0 || reversed.size() < width) {
    if (n > 0 && n % size == 0) {
      reversed += separator;
      if (at == 0 && reversed.size() >= width) {
        reversed += '0';
        break;
      }
    }
    reversed += at > 0 ? digits[--at] : '0';
    ++n;
  }
  std::reverse(reversed.begin(), reversed.end());
  return reversed;
}

std::string finish_number(Budget& budget, const Spec& spec, bool negative, std::string_view prefix,
                          std::string digits) {
  std::string sign = negative ? "-" : spec.sign == '+' || spec.sign == ' ' ? std::string(1, spec.sign) : "";
  sign += prefix;
  const char align = spec.align != '\0' ? spec.align : spec.zero ? '=' : '>';
  if (spec.grouping != '\0') {
    const size_t whole = std::min(digits.find_first_not_of("0123456789abcdefABCDEF"), digits.size());
    const bool hex_like = spec.type == 'x' || spec.type == 'X' || spec.type == 'o' || spec.type == 'b';
    const size_t end = hex_like ? digits.size() : std::min(digits.find_first_not_of("0123456789"), whole);
    const size_t rest = sign.size() + digits.size() - end;
    size_t width = 0;
    if (align == '=' && spec.fill == "0" && static_cast<size_t>(spec.width) > rest) {
      width = static_cast<size_t>(spec.width) - rest;
      budget.check_size(width);
    }
    digits = group(std::string_view(digits).substr(0, end), spec.grouping, hex_like ? 4 : 3, width) +
             digits.substr(end);
  }
  return pad(budget, spec, align, sign, digits);
}

// Without a type: the shortest form, or the general one that always has a digit behind the point, for which
// an exponent comes one digit earlier. With '#' there is always a point, and the zeros at the end stay.
std::string shortest(double magnitude, bool alternate) {
  std::string out = float_text(magnitude);
  if (alternate && out.find('.') == std::string::npos) out.insert(std::min(out.find('e'), out.size()), ".");
  return out;
}

std::string general_with_point(double magnitude, int precision, bool alternate) {
  std::string out = to_text(magnitude, std::chars_format::scientific, precision - 1);
  size_t end = out.find('e');
  const int exponent = std::stoi(out.substr(end + 1));
  size_t keep = 0;  // so many characters from the point on
  if (exponent >= -4 && exponent < precision - 1) {
    out = to_text(magnitude, std::chars_format::fixed, precision - 1 - exponent);
    end = out.size();
    keep = 2;
  }
  const size_t point = out.find('.');
  if (alternate) {
    if (point == std::string::npos) out.insert(end, ".");
  } else if (point != std::string::npos) {
    size_t last = end;
    while (last > point + keep && out[last - 1] == '0') --last;
    if (last == point + 1) --last;
    out.erase(last, end - last);
  }
  return out;
}

std::string format_float(Budget& budget, double value, const Spec& spec) {
  NumberStyle style;
  style.type =
      spec.type == '\0' || spec.type == 'n' || spec.type == '%' ? (spec.type == '%' ? 'f' : 'g') : spec.type;
  style.precision = spec.precision;
  style.alternate = spec.alternate;
  if (spec.precision > 0) budget.check_size(static_cast<uint64_t>(spec.precision));
  budget.work(static_cast<uint64_t>(std::max(spec.precision, 0)));
  const bool negative = std::signbit(value) && !std::isnan(value);
  const double magnitude = std::abs(value);
  std::string digits;
  if (spec.type == '\0' && std::isfinite(magnitude)) {
    digits = spec.precision < 0 ? shortest(magnitude, spec.alternate)
                                : general_with_point(magnitude, std::max(spec.precision, 1), spec.alternate);
  } else {
    digits = float_digits(spec.type == '%' ? magnitude * 100 : magnitude, style);
    if (spec.type == '%') digits += '%';
  }
  return finish_number(budget, spec, negative, {}, std::move(digits));
}

std::string format_int(Budget& budget, Int value, const Spec& spec) {
  if (spec.precision >= 0) fail(Fault::kValue, "Precision not allowed in integer format specifier");
  const bool negative = value < 0;
  const auto magnitude =
      negative ? -static_cast<unsigned __int128>(value) : static_cast<unsigned __int128>(value);
  if (spec.type == 'c') {
    if (spec.sign != '\0' || spec.alternate)
      fail(Fault::kValue, "Sign and alternate form not allowed with integer format specifier 'c'");
    if (value < 0 || value > 0x10ffff) fail(Fault::kOverflow, "%c arg not in range(0x110000)");
    std::string c;
    append_char(c, value >= 0xd800 && value < 0xe000 ? 0xfffd : static_cast<char32_t>(value));
    return pad(budget, spec, '>', {}, c);
  }
  std::string prefix;
  if (spec.alternate && spec.type != '\0' && spec.type != 'd' && spec.type != 'n') prefix = {'0', spec.type};
  const char type = spec.type == '\0' || spec.type == 'n' ? 'd' : spec.type;
  return finish_number(budget, spec, negative, prefix, integer_digits(magnitude, type));
}

}  // namespace

std::string format_value(Interp& interp, const Value& value, std::string_view specification) {
  Budget& budget = interp.budget();
  if (specification.empty()) return str_of(budget, value);
  const Spec spec = parse_spec(specification);
  const auto unknown = [&] {
    fail(Fault::kValue, "Unknown format code '{}' for object of type '{}'", spec.type, type_name(value));
  };
  if (value.is_string()) {
    if (spec.type != '\0' && spec.type != 's') unknown();
    if (spec.sign != '\0' || spec.alternate || spec.grouping != '\0' || spec.align == '=')
      fail(Fault::kValue, "Sign, alternate form or grouping not allowed in string format specifier");
    std::string_view text = text_of(value);
    if (spec.precision >= 0) text = sub_chars(value, 0, static_cast<size_t>(spec.precision));
    return pad(budget, spec, '<', {}, text);
  }
  if (value.is_integral()) {
    if (spec.type == '\0' || std::string_view("bcdnoxX").find(spec.type) != std::string_view::npos)
      return format_int(budget, value.as_int(), spec);
    if (std::string_view("eEfFgG%").find(spec.type) == std::string_view::npos) unknown();
    return format_float(budget, value.to_double(), spec);
  }
  if (value.is(Kind::kFloat)) {
    if (spec.type != '\0' && std::string_view("eEfFgGn%").find(spec.type) == std::string_view::npos)
      unknown();
    return format_float(budget, value.as_float(), spec);
  }
  fail(Fault::kType, "unsupported format string passed to {}.__format__", type_name(value));
}

}  // namespace quipu::jinja
