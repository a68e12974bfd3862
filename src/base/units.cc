#include "base/units.h"

#include <array>
#include <cctype>
#include <charconv>
#include <cmath>

#include "base/checked.h"

namespace quipu {

namespace {

std::string format_bytes(uint64_t bytes, double (*rounded)(double)) {
  static constexpr std::array kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double v = static_cast<double>(bytes);
  size_t unit = 0;
  while (v >= 1023.95 && unit + 1 < kUnits.size()) {
    v /= 1024;
    ++unit;
  }
  if (unit == 0) return fmt::format("{} B", bytes);
  return fmt::format("{:.1f} {}", rounded(v), kUnits[unit]);
}

}  // namespace

std::string format_bytes(uint64_t bytes) {
  return format_bytes(bytes, [](double v) { return v; });
}

std::string format_bytes_up(uint64_t bytes) {
  return format_bytes(bytes, [](double v) { return std::ceil(v * 10) / 10; });
}

std::string format_duration_ns(int64_t ns) {
  if (ns == 0) return "0s";
  std::string sign = ns < 0 ? "-" : "";
  uint64_t u = ns < 0 ? ~static_cast<uint64_t>(ns) + 1 : static_cast<uint64_t>(ns);
  const auto fraction = [](uint64_t value, uint64_t unit) {  // value / unit without trailing zeros
    std::string s = fmt::format("{}", value / unit);
    uint64_t rest = value % unit;
    if (rest == 0) return s;
    std::string digits;
    for (uint64_t u10 = unit / 10; rest != 0; u10 /= 10) {
      digits += static_cast<char>('0' + rest / u10);
      rest %= u10;
    }
    return s + "." + digits;
  };
  if (u < 1'000) return fmt::format("{}{}ns", sign, u);
  if (u < 1'000'000) return fmt::format("{}{}µs", sign, fraction(u, 1'000));
  if (u < 1'000'000'000) return fmt::format("{}{}ms", sign, fraction(u, 1'000'000));
  const uint64_t minutes = u / 60'000'000'000ull;
  const std::string seconds = fraction(u % 60'000'000'000ull, 1'000'000'000) + "s";
  if (minutes == 0) return sign + seconds;
  if (minutes < 60) return fmt::format("{}{}m{}", sign, minutes, seconds);
  return fmt::format("{}{}h{}m{}", sign, minutes / 60, minutes % 60, seconds);
}

Result<int64_t> parse_duration_ns(std::string_view text) {
  const std::string_view original = text;
  const auto invalid = [&] {
    return error(Code::kInvalidArgument, "time: invalid duration \"{}\"", original);
  };
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  if (text == "0") return 0;
  if (text.empty()) return invalid();
  static constexpr std::array<std::pair<std::string_view, uint64_t>, 8> kUnits = {{{"ns", 1},
                                                                                   {"us", 1'000},
                                                                                   {"\u00b5s", 1'000},
                                                                                   {"\u03bcs", 1'000},
                                                                                   {"ms", 1'000'000},
                                                                                   {"s", 1'000'000'000},
                                                                                   {"m", 60'000'000'000},
                                                                                   {"h", 3'600'000'000'000}}};
  constexpr uint64_t kMost = uint64_t{1} << 63;  // of which only the negative is a duration
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  uint64_t total = 0;
  while (!text.empty()) {
    uint64_t whole = 0;
    size_t n = 0;
    for (; n < text.size() && digit(text[n]); ++n)
      if (__builtin_mul_overflow(whole, uint64_t{10}, &whole) ||
          __builtin_add_overflow(whole, static_cast<uint64_t>(text[n] - '0'), &whole) || whole > kMost)
        return invalid();
    const size_t whole_digits = n;
    double fraction = 0, place = 1;
    if (n < text.size() && text[n] == '.') {
      for (++n; n < text.size() && digit(text[n]); ++n) fraction += (place /= 10) * (text[n] - '0');
      if (whole_digits == 0 && n == 1) return invalid();
    } else if (whole_digits == 0) {
      return invalid();
    }
    text.remove_prefix(n);
    size_t end = 0;
    while (end < text.size() && text[end] != '.' && !digit(text[end])) ++end;
    const std::string_view name = text.substr(0, end);
    if (name.empty()) return error(Code::kInvalidArgument, "time: missing unit in duration \"{}\"", original);
    uint64_t unit = 0;
    for (const auto& [known, ns] : kUnits)
      if (name == known) unit = ns;
    if (unit == 0)
      return error(Code::kInvalidArgument, "time: unknown unit \"{}\" in duration \"{}\"", name, original);
    text.remove_prefix(end);
    uint64_t ns = 0;
    if (__builtin_mul_overflow(whole, unit, &ns) ||
        __builtin_add_overflow(ns, static_cast<uint64_t>(fraction * static_cast<double>(unit) + 0.5), &ns) ||
        __builtin_add_overflow(total, ns, &total) || total > kMost)
      return invalid();
  }
  if (negative) return static_cast<int64_t>(~total + 1);
  if (total >= kMost) return invalid();
  return static_cast<int64_t>(total);
}

Result<uint64_t> parse_bytes(std::string_view text) {
  const std::string_view original = text;
  const auto bad = [&] {
    return error(Code::kInvalidArgument,
                 "'{}' is not a size: write bytes or a number with KiB, MiB, GiB, TiB", original);
  };
  double number = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (ec != std::errc() || !(number >= 0) || !std::isfinite(number)) return bad();
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  std::string unit;
  for (char c : text) unit += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  static constexpr std::array<std::pair<std::string_view, double>, 10> kUnits = {{{"", 1},
                                                                                  {"b", 1},
                                                                                  {"kib", 0x1p10},
                                                                                  {"mib", 0x1p20},
                                                                                  {"gib", 0x1p30},
                                                                                  {"tib", 0x1p40},
                                                                                  {"kb", 1e3},
                                                                                  {"mb", 1e6},
                                                                                  {"gb", 1e9},
                                                                                  {"tb", 1e12}}};
  for (const auto& [name, factor] : kUnits) {
    if (unit != name) continue;
    const double bytes = number * factor;
    if (bytes >= 0x1p63) return bad();
    return static_cast<uint64_t>(bytes);
  }
  return bad();
}

uint64_t ByteShare::of(uint64_t whole) const {
  if (percent <= 0) return bytes;
  const double part = static_cast<double>(whole) / 100 * percent;
  return part >= static_cast<double>(whole) ? whole : static_cast<uint64_t>(part);
}

Result<ByteShare> parse_byte_share(std::string_view text) {
  if (!text.ends_with('%')) {
    const auto bytes = parse_bytes(text);
    if (bytes) return ByteShare{.bytes = *bytes};
    return error(Code::kInvalidArgument,
                 "'{}' is not a size: write bytes, a number with KiB, MiB, GiB, TiB, or a percentage", text);
  }
  const std::string_view number = text.substr(0, text.size() - 1);
  double percent = 0;
  const auto [end, ec] = std::from_chars(number.data(), number.data() + number.size(), percent);
  if (ec != std::errc() || !(percent > 0 && percent <= 100) ||
      std::string_view(end, number.data() + number.size()).find_first_not_of(' ') != std::string_view::npos)
    return error(Code::kInvalidArgument, "'{}' is not a percentage: write more than 0% and at most 100%",
                 text);
  return ByteShare{.percent = percent};
}

}  // namespace quipu
