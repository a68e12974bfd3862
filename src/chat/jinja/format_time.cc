// strftime, as Python and glibc have it in the C locale. The time is given in seconds that already are local,
// so there is no time zone.
#include <array>

#include "chat/jinja/format.h"
#include "chat/jinja/text.h"
#include "chat/jinja/unicode.h"

namespace quipu::jinja {

namespace {

constexpr std::array<std::string_view, 7> kDays = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                   "Thursday", "Friday", "Saturday"};
constexpr std::array<std::string_view, 12> kMonths = {"January",   "February", "March",    "April",
                                                      "May",       "June",     "July",     "August",
                                                      "September", "October",  "November", "December"};

struct Civil {
  int64_t year;
  int month, day, hour, minute, second, weekday, day_of_year;  // Sunday is 0; the year's first day is 0
};

bool is_leap(int64_t y) { return y % 4 == 0 && (y % 100 != 0 || y % 400 == 0); }

Civil civil_of(int64_t unix_seconds) {
  // Far outside of what Python's dates cover nothing sensible can be said: the ends of its range stand for
  // that.
  constexpr int64_t kFirst = -62135596800, kLast = 253402300799;
  unix_seconds = std::clamp(unix_seconds, kFirst, kLast);
  int64_t days = unix_seconds / 86400, rest = unix_seconds % 86400;
  if (rest < 0) {
    rest += 86400;
    --days;
  }
  Civil c{};
  c.hour = static_cast<int>(rest / 3600);
  c.minute = static_cast<int>(rest / 60 % 60);
  c.second = static_cast<int>(rest % 60);
  c.weekday = static_cast<int>(((days + 4) % 7 + 7) % 7);
  // Days since 1 March of the year 0, in eras of 400 years.
  const int64_t z = days + 719468;
  const int64_t era = (z >= 0 ? z : z - 146096) / 146097;
  const int64_t day_of_era = z - era * 146097;
  const int64_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const int64_t from_march = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const int64_t m = (5 * from_march + 2) / 153;
  c.day = static_cast<int>(from_march - (153 * m + 2) / 5 + 1);
  c.month = static_cast<int>(m < 10 ? m + 3 : m - 9);
  c.year = year_of_era + era * 400 + (c.month <= 2 ? 1 : 0);
  constexpr std::array<int, 12> kBefore = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
  c.day_of_year =
      kBefore[static_cast<size_t>(c.month - 1)] + c.day - 1 + (c.month > 2 && is_leap(c.year) ? 1 : 0);
  return c;
}

// The ISO week and its year.
std::pair<int, int64_t> iso_week(const Civil& c) {
  const int weekday = (c.weekday + 6) % 7;  // Monday is 0
  int week = (c.day_of_year - weekday + 10) / 7;
  int64_t year = c.year;
  const auto weeks_in = [](int64_t y) {
    const auto first = [](int64_t v) { return (v + v / 4 - v / 100 + v / 400) % 7; };
    return first(y) == 4 || first(y - 1) == 3 ? 53 : 52;
  };
  if (week < 1) {
    --year;
    week = weeks_in(year);
  } else if (week > weeks_in(year)) {
    week = 1;
    ++year;
  }
  return {week, year};
}

class TimeFormatter {
 public:
  TimeFormatter(Budget& budget, int64_t unix_seconds)
      : out_(budget), time_(civil_of(unix_seconds)), unix_seconds_(unix_seconds) {}

  std::string run(std::string_view format) {
    add(format, 0);
    return out_.take();
  }

 private:
  void add(std::string_view format, int depth) {
    for (size_t at = 0; at < format.size();) {
      const size_t percent = std::min(format.find('%', at), format.size());
      out_.add(format.substr(at, percent - at));
      at = percent;
      if (at == format.size()) break;
      const size_t start = at++;
      flag_ = '\0';
      while (at < format.size() && std::string_view("-_0^#").find(format[at]) != std::string_view::npos)
        flag_ = format[at++];
      if (at < format.size() && (format[at] == 'E' || format[at] == 'O')) ++at;
      if (at == format.size()) return out_.add(format.substr(start));
      const size_t width = char_bytes(format[at]);
      if (!directive(format[at], depth)) out_.add(format.substr(start, at + width - start));
      at += width;
    }
  }

  void number(int64_t value, int width, char fill = '0') {
    if (flag_ == '-') width = 0;
    if (flag_ == '_') fill = ' ';
    if (flag_ == '0') fill = '0';
    const std::string digits = int_text(value);
    if (static_cast<int>(digits.size()) < width)
      out_.fill(static_cast<uint64_t>(width) - digits.size(), std::string_view(&fill, 1));
    out_.add(digits);
  }

  void word(std::string_view text) {
    if (flag_ == '^')
      out_.add(to_upper(text));
    else if (flag_ == '#')
      out_.add(text == "AM" || text == "PM" ? to_lower(text) : to_upper(text));
    else
      out_.add(text);
  }

  void composed(std::string_view format, int depth) {
    flag_ = '\0';
    if (depth < 2) add(format, depth + 1);
  }

  bool directive(char c, int depth) {
    const Civil& t = time_;
    const int hour12 = t.hour % 12 == 0 ? 12 : t.hour % 12;
    const std::string_view day = kDays[static_cast<size_t>(t.weekday)];
    const std::string_view month = kMonths[static_cast<size_t>(t.month - 1)];
    switch (c) {
      case 'a':
        word(day.substr(0, 3));
        break;
      case 'A':
        word(day);
        break;
      case 'b':
      case 'h':
        word(month.substr(0, 3));
        break;
      case 'B':
        word(month);
        break;
      case 'c':
        composed("%a %b %e %H:%M:%S %Y", depth);
        break;
      case 'C':
        number(t.year / 100, 2);
        break;
      case 'd':
        number(t.day, 2);
        break;
      case 'D':
      case 'x':
        composed("%m/%d/%y", depth);
        break;
      case 'e':
        number(t.day, 2, ' ');
        break;
      case 'f':
        out_.add("000000");
        break;
      case 'F':
        composed("%Y-%m-%d", depth);
        break;
      case 'g':
        number(iso_week(t).second % 100, 2);
        break;
      case 'G':
        number(iso_week(t).second, 0);
        break;
      case 'H':
        number(t.hour, 2);
        break;
      case 'I':
        number(hour12, 2);
        break;
      case 'j':
        number(t.day_of_year + 1, 3);
        break;
      case 'k':
        number(t.hour, 2, ' ');
        break;
      case 'l':
        number(hour12, 2, ' ');
        break;
      case 'm':
        number(t.month, 2);
        break;
      case 'M':
        number(t.minute, 2);
        break;
      case 'n':
        out_.add('\n');
        break;
      case 'p':
        word(t.hour < 12 ? "AM" : "PM");
        break;
      case 'P':
        out_.add(t.hour < 12 ? "am" : "pm");
        break;
      case 'r':
        composed("%I:%M:%S %p", depth);
        break;
      case 'R':
        composed("%H:%M", depth);
        break;
      case 's':
        number(unix_seconds_, 0);
        break;
      case 'S':
        number(t.second, 2);
        break;
      case 't':
        out_.add('\t');
        break;
      case 'T':
      case 'X':
        composed("%H:%M:%S", depth);
        break;
      case 'u':
        number(t.weekday == 0 ? 7 : t.weekday, 1);
        break;
      case 'U':
        number((t.day_of_year + 7 - t.weekday) / 7, 2);
        break;
      case 'V':
        number(iso_week(t).first, 2);
        break;
      case 'w':
        number(t.weekday, 1);
        break;
      case 'W':
        number((t.day_of_year + 7 - (t.weekday + 6) % 7) / 7, 2);
        break;
      case 'y':
        number(t.year % 100, 2);
        break;
      case 'Y':
        number(t.year, 0);
        break;
      case 'z':
      case 'Z':
        break;
      case '%':
        out_.add('%');
        break;
      default:
        return false;
    }
    return true;
  }

  TextBuilder out_;
  const Civil time_;
  const int64_t unix_seconds_;
  char flag_ = '\0';
};

}  // namespace

std::string format_time(Budget& budget, std::string_view format, int64_t unix_seconds) {
  return TimeFormatter(budget, unix_seconds).run(format);
}

}  // namespace quipu::jinja
