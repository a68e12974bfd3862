// When a time limit that is given in seconds is over.
#pragma once

#include <chrono>

namespace quipu {

// max(): never, which 0, what is negative or no number, and more than a year mean (it would overflow the
// clock).
inline std::chrono::steady_clock::time_point deadline_after(std::chrono::steady_clock::time_point start,
                                                            double seconds) {
  using Clock = std::chrono::steady_clock;
  constexpr double kYear = 365 * 86400.0;
  if (!(seconds > 0 && seconds < kYear)) return Clock::time_point::max();
  return start + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

}  // namespace quipu
