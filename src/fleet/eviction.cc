#include "fleet/eviction.h"

#include <tuple>

namespace quipu::fleet {

std::optional<size_t> choose_victim(std::span<const Candidate> candidates) {
  const auto rank = [](const Candidate& c) {
    using Rank = std::tuple<bool, bool, std::chrono::nanoseconds, const std::string&>;
    return Rank(!c.idle, c.keep_alive < c.keep_alive.zero(), c.keep_alive, c.model_path);
  };
  std::optional<size_t> best;
  for (size_t i = 0; i < candidates.size(); ++i)
    if (!best || rank(candidates[i]) < rank(candidates[*best])) best = i;
  return best;
}

}  // namespace quipu::fleet
