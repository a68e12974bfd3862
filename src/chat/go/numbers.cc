#include "chat/go/numbers.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <string_view>

namespace quipu::gotmpl {

namespace {

// The number's decimal digits, without its sign and without zeros at the end; the point stands before digit
// number `point`.
struct Digits {
  std::string digits;
  int point = 0;
};

// `count`: how many digits to round to; kShortest: as few as tell the number from all others.
Digits decimal_digits(double magnitude, int count) {
  if (magnitude == 0) return {};
  std::string text(static_cast<size_t>(std::max(count, 0)) + 32, '\0');
  char* const end = text.data() + text.size();
  const auto done =
      count == kShortest
          ? std::to_chars(text.data(), end, magnitude, std::chars_format::scientific)
          : std::to_chars(text.data(), end, magnitude, std::chars_format::scientific, count - 1);
  text.resize(static_cast<size_t>(done.ptr - text.data()));
  const size_t e = text.find('e');
  Digits out;
  const char* exponent = text.data() + e + 1;
  if (*exponent == '+') ++exponent;
  std::from_chars(exponent, text.data() + text.size(), out.point);
  ++out.point;
  text.resize(e);
  std::erase(text, '.');
  text.resize(text.find_last_not_of('0') + 1);
  out.digits = std::move(text);
  return out;
}

void append_exponent(std::string& out, char letter, int exponent) {
  out += letter;
  out += exponent < 0 ? '-' : '+';
  out += fmt::format("{:02d}", std::abs(exponent));
}

// d.ddde±dd with so many digits behind the point
std::string scientific(const Digits& d, int places, char letter) {
  std::string out(1, d.digits.empty() ? '0' : d.digits[0]);
  if (places > 0) {
    std::string rest = d.digits.size() > 1 ? d.digits.substr(1, static_cast<size_t>(places)) : "";
    rest.resize(static_cast<size_t>(places), '0');
    out += '.' + rest;
  }
  append_exponent(out, letter, d.digits.empty() ? 0 : d.point - 1);
  return out;
}

std::string positional(const Digits& d, int places) {
  const auto digit = [&](int i) {
    return i >= 0 && static_cast<size_t>(i) < d.digits.size() ? d.digits[static_cast<size_t>(i)] : '0';
  };
  std::string out;
  if (d.point <= 0 || d.digits.empty()) out += '0';
  if (!d.digits.empty())
    for (int i = 0; i < d.point; ++i) out += digit(i);
  if (places > 0) {
    out += '.';
    for (int i = 0; i < places; ++i) out += d.digits.empty() ? '0' : digit(d.point + i);
  }
  return out;
}

std::string general(double magnitude, int precision, char letter) {
  const bool shortest = precision == kShortest;
  const int count = shortest ? kShortest : std::max(precision, 1);
  const Digits d = decimal_digits(magnitude, count);
  const int n = static_cast<int>(d.digits.size());
  const int exponent = d.digits.empty() ? -1 : d.point - 1;
  const int limit = shortest ? 6 : count > n && n >= d.point ? n : count;
  // 0 has no digits and no exponent: it is always "0".
  if (n > 0 && (exponent < -4 || exponent >= limit)) return scientific(d, n - 1, letter);
  return positional(d, std::max(n - d.point, 0));
}

// Mantissa and power of two of a number that is neither infinite nor NaN.
struct Binary {
  uint64_t mantissa;
  int exponent;  // of the mantissa's last bit
};
Binary binary_of(double magnitude) {
  const auto bits = std::bit_cast<uint64_t>(magnitude);
  const uint64_t fraction = bits & ((1ull << 52) - 1);
  const int exponent = static_cast<int>(bits >> 52 & 0x7ff);
  if (exponent == 0) return {fraction, -1074};
  return {fraction | 1ull << 52, exponent - 1075};
}

// 0x1.8p+01
std::string hexadecimal(double magnitude, int precision, bool upper) {
  auto [mantissa, exponent] = binary_of(magnitude);
  if (mantissa == 0) exponent = 0;
  while (mantissa != 0 && (mantissa & 1ull << 52) == 0) {
    mantissa <<= 1;
    --exponent;
  }
  if (mantissa != 0) exponent += 52;
  constexpr int kDigits = 13;
  if (precision >= 0 && precision < kDigits) {  // round, halves to even
    const int shift = 4 * (kDigits - precision);
    const uint64_t kept = mantissa >> shift, rest = mantissa & ((1ull << shift) - 1),
                   half = 1ull << (shift - 1);
    mantissa = (kept + (rest > half || (rest == half && (kept & 1) != 0))) << shift;
    if ((mantissa & 1ull << 53) != 0) {
      mantissa >>= 1;
      ++exponent;
    }
  }
  std::string fraction = fmt::format("{:013x}", mantissa & ((1ull << 52) - 1));
  if (precision == kShortest)
    fraction.resize(fraction.find_last_not_of('0') + 1);
  else
    fraction.resize(static_cast<size_t>(precision), '0');
  std::string out = fmt::format("0x{}", mantissa >> 52);
  if (!fraction.empty()) out += '.' + fraction;
  append_exponent(out, 'p', exponent);
  if (upper)
    for (char& c : out)
      if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
  return out;
}

std::string magnitude_text(double magnitude, char verb, int precision) {
  switch (verb) {
    case 'e':
    case 'E': {
      const Digits d = decimal_digits(magnitude, precision == kShortest ? kShortest : precision + 1);
      return scientific(
          d, precision == kShortest ? std::max(static_cast<int>(d.digits.size()) - 1, 0) : precision, verb);
    }
    case 'f': {
      if (precision == kShortest) {
        const Digits d = decimal_digits(magnitude, kShortest);
        return positional(d, std::max(static_cast<int>(d.digits.size()) - d.point, 0));
      }
      std::string text(static_cast<size_t>(precision) + 330, '\0');  // 309 digits before the point at most
      const auto done = std::to_chars(text.data(), text.data() + text.size(), magnitude,
                                      std::chars_format::fixed, precision);
      text.resize(static_cast<size_t>(done.ptr - text.data()));
      return text;
    }
    case 'g':
    case 'G':
      return general(magnitude, precision, verb == 'g' ? 'e' : 'E');
    case 'b': {
      const Binary b = binary_of(magnitude);
      return fmt::format("{}p{:+d}", b.mantissa, b.exponent);
    }
    default:
      return hexadecimal(magnitude, precision, verb == 'X');
  }
}

}  // namespace

std::string format_float(double value, char verb, int precision) {
  if (std::isnan(value)) return "NaN";
  const bool negative = std::signbit(value);
  if (std::isinf(value)) return negative ? "-Inf" : "+Inf";
  return (negative ? "-" : "") + magnitude_text(std::fabs(value), verb, precision);
}

std::string json_number(double value) {
  const double magnitude = std::fabs(value);
  if (magnitude == 0 || (magnitude >= 1e-6 && magnitude < 1e21)) return format_float(value, 'f', kShortest);
  std::string text = format_float(value, 'e', kShortest);
  // Small exponents are written with one digit: 1e-7.
  if (text.size() >= 4 && text.substr(text.size() - 4, 3) == "e-0") text.erase(text.size() - 2, 1);
  return text;
}

}  // namespace quipu::gotmpl
