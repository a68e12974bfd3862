// How single texts and numbers lie in their fields: signs, prefixes, widths, precisions.
#include <algorithm>
#include <utility>

#include "chat/go/numbers.h"
#include "chat/go/print.h"
#include "chat/go/text.h"

namespace quipu::gotmpl {

void Printer::fill(size_t n) {
  budget_.grow(out_.size(), n);
  out_.append(n, flags_.zero && !flags_.minus ? '0' : ' ');
}

void Printer::pad(std::string_view s) {
  const size_t width = flags_.has_width ? static_cast<size_t>(flags_.width) : 0;
  const size_t length = width == 0 ? 0 : count_runes(s);
  const size_t missing = width > length ? width - length : 0;
  if (!flags_.minus) fill(missing);
  add(s);
  if (flags_.minus) fill(missing);
}

void Printer::add_integer(uint64_t magnitude, bool negative, int base, char32_t verb) {
  const bool zero = std::exchange(flags_.zero, false);  // zeros to the left are digits, not filling
  size_t least = 0;
  if (flags_.has_precision) {
    least = static_cast<size_t>(flags_.precision);
    if (least == 0 && magnitude == 0) {  // no digits at all
      fill(flags_.has_width ? static_cast<size_t>(flags_.width) : 0);
      flags_.zero = zero;
      return;
    }
  } else if (zero && !flags_.minus && flags_.has_width) {
    const size_t sign = negative || flags_.plus || flags_.space ? 1 : 0;
    least = std::max(static_cast<size_t>(flags_.width), sign) - sign;
  }
  budget_.grow(out_.size(), least);
  const std::string_view symbols = verb == 'X' ? "0123456789ABCDEFX" : "0123456789abcdefx";
  std::string reversed;
  do {
    reversed += symbols[magnitude % static_cast<uint64_t>(base)];
    magnitude /= static_cast<uint64_t>(base);
  } while (magnitude != 0);
  if (reversed.size() < least) reversed.resize(least, '0');
  if (flags_.sharp && base == 2) reversed += "b0";
  if (flags_.sharp && base == 8 && reversed.back() != '0') reversed += '0';
  if (flags_.sharp && base == 16) reversed.append(1, symbols[16]).append(1, '0');
  if (verb == 'O') reversed += "o0";
  if (negative)
    reversed += '-';
  else if (flags_.plus)
    reversed += '+';
  else if (flags_.space)
    reversed += ' ';
  std::reverse(reversed.begin(), reversed.end());
  pad(reversed);
  flags_.zero = zero;
}

void Printer::add_unicode(uint64_t code) {
  const size_t least = flags_.has_precision ? static_cast<size_t>(std::max(flags_.precision, 4)) : 4;
  budget_.grow(out_.size(), least);
  std::string digits = fmt::format("{:X}", code);
  if (digits.size() < least) digits.insert(0, least - digits.size(), '0');
  std::string s = "U+" + digits;
  if (flags_.sharp && code <= kMaxRune && is_print(static_cast<char32_t>(code))) {
    s += " '";
    append_rune(s, static_cast<char32_t>(code));
    s += '\'';
  }
  const bool zero = std::exchange(flags_.zero, false);
  pad(s);
  flags_.zero = zero;
}

namespace {

// With the flag # a number has a point, and zeros at its end are kept: `significant` digits in all.
std::string with_point(std::string_view number, char verb, int significant) {
  const bool hex = verb == 'x' || verb == 'X';
  const size_t exponent = std::min(number.find_first_of(hex ? "pP" : "eEpP"), number.size());
  std::string head(number.substr(0, exponent));
  bool point = false, counting = false;
  for (size_t i = 1; i < head.size(); ++i) {  // behind the sign
    if (head[i] == '.') {
      point = true;
      continue;
    }
    counting = counting || head[i] != '0';
    if (counting) --significant;
  }
  if (!point) {
    if (head.size() == 2 && head[1] == '0') --significant;
    head += '.';
  }
  if (significant > 0) head.append(static_cast<size_t>(significant), '0');
  return head.append(number.substr(exponent));
}

}  // namespace

void Printer::add_float(double d, char verb, int precision) {
  if (flags_.has_precision) precision = flags_.precision;
  budget_.grow(out_.size(), static_cast<uint64_t>(std::max(precision, 0)));
  std::string s = format_float(d, verb, precision);
  if (s[0] != '-' && s[0] != '+') s.insert(0, 1, '+');
  if (flags_.space && s[0] == '+' && !flags_.plus) s[0] = ' ';
  if (s[1] == 'I' || s[1] == 'N') {
    const bool zero = std::exchange(flags_.zero, false);
    pad(s[1] == 'N' && !flags_.space && !flags_.plus ? s.substr(1) : s);
    flags_.zero = zero;
    return;
  }
  if (flags_.sharp && verb != 'b') {
    const bool counts = verb == 'g' || verb == 'G' || verb == 'x';
    s = with_point(s, verb, !counts ? 0 : precision == kShortest ? 6 : precision);
  }
  if (s[0] == '+' && !flags_.plus) return pad(std::string_view(s).substr(1));
  if (flags_.zero && !flags_.minus && flags_.has_width && static_cast<size_t>(flags_.width) > s.size()) {
    add(std::string_view(s).substr(0, 1));  // the sign stands before the zeros
    fill(static_cast<size_t>(flags_.width) - s.size());
    return add(std::string_view(s).substr(1));
  }
  pad(s);
}

// Bytes in hexadecimal: 6869, and with the flags for space and # 0x68 0x69.
void Printer::add_hex(std::string_view bytes, bool upper) {
  if (flags_.has_precision) bytes = bytes.substr(0, static_cast<size_t>(flags_.precision));
  const size_t width = flags_.has_width ? static_cast<size_t>(flags_.width) : 0;
  if (bytes.empty()) return fill(width);
  const std::string_view digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
  const std::string_view prefix = !flags_.sharp ? "" : upper ? "0X" : "0x";
  budget_.grow(out_.size(), 5 * bytes.size());
  std::string s(prefix);
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (flags_.space && i > 0) s.append(" ").append(prefix);
    const auto b = static_cast<uint8_t>(bytes[i]);
    s += digits[b >> 4];
    s += digits[b & 15];
  }
  const size_t missing = width > s.size() ? width - s.size() : 0;
  if (!flags_.minus) fill(missing);
  add(s);
  if (flags_.minus) fill(missing);
}

}  // namespace quipu::gotmpl
