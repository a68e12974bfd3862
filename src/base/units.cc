#include "base/units.h"

#include <array>
#include <cctype>
#include <charconv>
#include <cmath>

#include "base/checked.h"

namespace quipu {

std::string format_bytes(uint64_t bytes) {
  static constexpr std::array kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double v = static_cast<double>(bytes);
  size_t unit = 0;
  while (v >= 1023.95 && unit + 1 < kUnits.size()) {
    v /= 1024;
    ++unit;
  }
  if (unit == 0) return fmt::format("{} B", bytes);
  return fmt::format("{:.1f} {}", v, kUnits[unit]);
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

Result<uint64_t> parse_bytes(std::string_view text) {
  const std::string_view original = text;
  const auto bad = [&] {
    return error(Code::kInvalidArgument, "'{}' is not a size: write bytes or a number with KiB, MiB, GiB, TiB", original);
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

}  // namespace quipu
