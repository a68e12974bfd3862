// Sizes, times and counts in Ollama's words. Spec: ollama-compat 3.2.
//
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace quipu::cli {

// Decimal: "98 MB", "9.6 GB", "512 B".
std::string human_bytes(uint64_t bytes);

// "134.52M", "8B"
std::string parameter_count(uint64_t n);

// Seconds since 1970.
struct Moment {
  int64_t seconds = 0;
  double fraction = 0;
};

// RFC 3339: "2026-11-23T22:45:08.5687Z", "2026-11-23T23:45:08+01:00".
std::optional<Moment> parse_moment(std::string_view text);
Moment now();
double seconds_between(Moment from, Moment to);

// "4 minutes ago", "4 minutes from now", "Forever" (more than 20 years ahead), `zero` for the year 1.
std::string human_time(Moment moment, Moment now, std::string_view zero);

}  // namespace quipu::cli
