#include "fleet/eviction.h"

#include <gtest/gtest.h>

#include <vector>

namespace quipu::fleet {
namespace {

using std::chrono::minutes;
using std::chrono::nanoseconds;

constexpr nanoseconds kForEver{-1};

TEST(Eviction, Order) {
  const auto victim = [](const std::vector<Candidate>& candidates) { return choose_victim(candidates); };
  EXPECT_EQ(victim({}), std::nullopt);
  EXPECT_EQ(victim({{kForEver, "a", true}, {minutes(9), "b", true}, {minutes(5), "c", true}}), 2u);
  EXPECT_EQ(victim({{minutes(5), "b", true}, {minutes(5), "a", true}}), 1u);
  // An idle one goes before all that are busy.
  EXPECT_EQ(victim({{minutes(1), "a", false}, {kForEver, "b", true}}), 1u);
  EXPECT_EQ(victim({{minutes(2), "a", false}, {minutes(0), "b", false}, {kForEver, "c", false}}), 1u);
  EXPECT_EQ(victim({{kForEver, "b", true}, {kForEver, "a", true}}), 1u);
}

}  // namespace
}  // namespace quipu::fleet
