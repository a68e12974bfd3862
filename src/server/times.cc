#include "server/times.h"

#include <fmt/format.h>
#include <time.h>

#include <cstdlib>

namespace quipu::server {

namespace {

std::string time_text(int64_t unix_ns, bool local) {
  time_t seconds = unix_ns / 1'000'000'000;
  int64_t ns = unix_ns % 1'000'000'000;
  if (ns < 0) {
    ns += 1'000'000'000;
    --seconds;
  }
  tm t{};
  if (local)
    localtime_r(&seconds, &t);
  else
    gmtime_r(&seconds, &t);
  std::string out = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", t.tm_year + 1900, t.tm_mon + 1,
                                t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec);
  if (ns != 0) {
    std::string digits = fmt::format("{:09}", ns);
    digits.erase(digits.find_last_not_of('0') + 1);
    out += "." + digits;
  }
  const long offset = local ? t.tm_gmtoff / 60 : 0;
  if (offset == 0) return out + "Z";
  return out +
         fmt::format("{}{:02}:{:02}", offset < 0 ? '-' : '+', std::abs(offset) / 60, std::abs(offset) % 60);
}

}  // namespace

std::string utc_time(int64_t unix_ns) { return time_text(unix_ns, false); }
std::string local_time(int64_t unix_ns) { return time_text(unix_ns, true); }

int64_t now_unix_ns() {
  timespec t{};
  clock_gettime(CLOCK_REALTIME, &t);
  return static_cast<int64_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec;
}

}  // namespace quipu::server
