#include "sampling/token_window.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <random>

namespace quipu::sampling {
namespace {

std::map<int32_t, int32_t> counted(const TokenWindow& w) {
  std::map<int32_t, int32_t> out;
  int32_t before = INT32_MIN;
  for (const auto& [id, count] : w.counts()) {
    EXPECT_GT(id, before) << "ids rise";
    before = id;
    out[id] = count;
  }
  return out;
}

// Against a list of the last tokens, with single tokens and whole prompts mixed.
TEST(TokenWindow, CountsTheLastTokens) {
  std::mt19937 random(7);
  for (const size_t size : {0u, 1u, 2u, 7u, 64u, 1000u}) {
    TokenWindow window(static_cast<int64_t>(size));
    std::deque<int32_t> last;
    for (int step = 0; step < 300; ++step) {
      std::vector<int32_t> tokens(random() % 8 == 0 ? random() % 90 : 1);
      for (int32_t& t : tokens) t = static_cast<int32_t>(random() % 20);
      if (tokens.size() == 1)
        window.push(tokens[0]);
      else
        window.push(tokens);
      last.insert(last.end(), tokens.begin(), tokens.end());
      while (last.size() > size) last.pop_front();
      std::map<int32_t, int32_t> expected;
      for (int32_t t : last) ++expected[t];
      ASSERT_EQ(counted(window), expected) << "size " << size << " step " << step;
    }
  }
}

TEST(TokenWindow, AnUnboundedOneGrowsOnlyWithUse) {
  TokenWindow window(INT64_MAX);
  for (int i = 0; i < 10; ++i) window.push(std::vector<int32_t>{3, 3, 5});
  window.push(5);
  EXPECT_EQ(counted(window), (std::map<int32_t, int32_t>{{3, 20}, {5, 11}}));
}

TEST(Penalties, AreAppliedAsTheSpecSays) {
  const Penalties p{2.0f, 0.5f, 0.25f, {}};
  EXPECT_EQ(p.apply(4.0f, 1), 2.0f - 0.75f);
  EXPECT_EQ(p.apply(-4.0f, 3), -8.0f - 1.25f);
  EXPECT_EQ(p.apply(0.0f, 1), -0.75f);
  EXPECT_FALSE(p.off());
  EXPECT_TRUE(Penalties().off());
}

}  // namespace
}  // namespace quipu::sampling
