#include "cli/human.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <chrono>
#include <cmath>

namespace quipu::cli {

namespace {

constexpr int64_t kYearOne = -62135596800;  // 0001-01-01T00:00:00Z, Go's zero time

std::string human_duration(double seconds) {
  if (seconds < 1) return "Less than a second";
  const auto whole = static_cast<int64_t>(seconds);
  if (whole == 1) return "1 second";
  if (whole < 60) return fmt::format("{} seconds", whole);
  const int64_t minutes = whole / 60;
  if (minutes == 1) return "About a minute";
  if (minutes < 60) return fmt::format("{} minutes", minutes);
  const auto hours = static_cast<int64_t>(std::llround(seconds / 3600));
  if (hours == 1) return "About an hour";
  if (hours < 48) return fmt::format("{} hours", hours);
  const int64_t days = hours / 24;
  if (hours < 24 * 14) return fmt::format("{} days", days);
  if (hours < 24 * 60) return fmt::format("{} weeks", days / 7);
  if (hours < 24 * 365 * 2) return fmt::format("{} months", days / 30);
  return fmt::format("{} years", days / 365);
}

// Reads fixed numbers of digits and fixed characters from the front.
class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  std::optional<int> digits(size_t n) {
    if (rest_.size() < n) return std::nullopt;
    int value = 0;
    for (size_t i = 0; i < n; ++i) {
      if (rest_[i] < '0' || rest_[i] > '9') return std::nullopt;
      value = value * 10 + (rest_[i] - '0');
    }
    rest_.remove_prefix(n);
    return value;
  }
  bool take(std::string_view one_of) {
    if (rest_.empty() || one_of.find(rest_.front()) == one_of.npos) return false;
    rest_.remove_prefix(1);
    return true;
  }
  double fraction() {
    double value = 0, place = 0.1;
    for (; !rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9'; place /= 10) {
      value += place * (rest_.front() - '0');
      rest_.remove_prefix(1);
    }
    return value;
  }
  std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

}  // namespace

std::string human_bytes(uint64_t bytes) {
  struct Unit {
    uint64_t size;
    const char* name;
  };
  static constexpr std::array kUnits = {Unit{1'000'000'000'000, "TB"}, Unit{1'000'000'000, "GB"},
                                        Unit{1'000'000, "MB"}, Unit{1'000, "KB"}};
  for (const Unit& u : kUnits) {
    if (bytes < u.size) continue;
    const double value = static_cast<double>(bytes) / static_cast<double>(u.size);
    if (value >= 10 || bytes % u.size == 0) return fmt::format("{} {}", bytes / u.size, u.name);
    return fmt::format("{:.1f} {}", value, u.name);
  }
  return fmt::format("{} B", bytes);
}

std::string parameter_count(uint64_t n) {
  struct Unit {
    uint64_t size;
    const char* name;
    int decimals;
  };
  static constexpr std::array kUnits = {Unit{1'000'000'000, "B", 1}, Unit{1'000'000, "M", 2},
                                        Unit{1'000, "K", 0}};
  for (const Unit& u : kUnits) {
    if (n < u.size) continue;
    if (n % u.size == 0) return fmt::format("{}{}", n / u.size, u.name);
    return fmt::format("{:.{}f}{}", static_cast<double>(n) / static_cast<double>(u.size), u.decimals, u.name);
  }
  return fmt::format("{}", n);
}

std::optional<Moment> parse_moment(std::string_view text) {
  Reader in(text);
  const auto year = in.digits(4);
  if (!year || !in.take("-")) return std::nullopt;
  const auto month = in.digits(2);
  if (!month || !in.take("-")) return std::nullopt;
  const auto day = in.digits(2);
  if (!day || !in.take("Tt ")) return std::nullopt;
  const auto hour = in.digits(2);
  if (!hour || !in.take(":")) return std::nullopt;
  const auto minute = in.digits(2);
  if (!minute || !in.take(":")) return std::nullopt;
  const auto second = in.digits(2);
  if (!second || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  const double fraction = in.take(".") ? in.fraction() : 0;
  int64_t offset = 0;
  if (!in.take("Zz")) {
    const bool behind = in.rest().starts_with('-');
    if (!in.take("+-")) return std::nullopt;
    const auto hours = in.digits(2);
    if (!hours || !in.take(":")) return std::nullopt;
    const auto minutes = in.digits(2);
    if (!minutes) return std::nullopt;
    offset = (*hours * 60 + *minutes) * (behind ? -60 : 60);
  }
  const std::chrono::year_month_day date{std::chrono::year{*year},
                                         std::chrono::month{static_cast<unsigned>(*month)},
                                         std::chrono::day{static_cast<unsigned>(*day)}};
  if (!in.rest().empty() || !date.ok()) return std::nullopt;
  const int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  return Moment{days * 86400 + *hour * 3600 + *minute * 60 + *second - offset, fraction};
}

Moment now() {
  const double t = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  const double whole = std::floor(t);
  return {static_cast<int64_t>(whole), t - whole};
}

double seconds_between(Moment from, Moment to) {
  return static_cast<double>(to.seconds - from.seconds) + (to.fraction - from.fraction);
}

std::string human_time(Moment moment, Moment now, std::string_view zero) {
  if (moment.seconds == kYearOne) return std::string(zero);
  const double ago = seconds_between(moment, now);
  if (ago >= 0) return human_duration(ago) + " ago";
  constexpr int64_t kFarYears = 20;
  if (static_cast<int64_t>(-ago / 3600) / 24 / 365 > kFarYears) return "Forever";
  return human_duration(-ago) + " from now";
}

}  // namespace quipu::cli
