#include "sampling/softmax.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "kernels/det_math.h"

namespace quipu::sampling {
namespace {

TEST(ExpFloat, IsTheRoundedValue) {
  std::mt19937 random(1);
  int differ = 0;
  for (int i = 0; i < 300'000; ++i) {
    const float x = -static_cast<float>(random()) * 0x1p-32f *
                    (i % 3 == 0   ? 104.5f
                     : i % 3 == 1 ? 1.0f
                                  : 88.0f);
    const auto exact = static_cast<float>(kernels::det::exp(static_cast<double>(x)));
    const float got = exp_float(x);
    if (got == exact) continue;
    ++differ;
    ASSERT_TRUE(got == std::nextafter(exact, 0.0f) || got == std::nextafter(exact, 2.0f)) << x;
  }
  EXPECT_LE(differ, 2) << "only where the exact value lies next to the middle of two floats";
}

TEST(ExpFloat, Edges) {
  EXPECT_EQ(exp_float(0.0f), 1.0f);
  EXPECT_EQ(exp_float(-0.0f), 1.0f);
  EXPECT_EQ(exp_float(-std::numeric_limits<float>::infinity()), 0.0f);
  EXPECT_EQ(exp_float(std::numeric_limits<float>::quiet_NaN()), 0.0f);
  EXPECT_EQ(exp_float(-103.9f), std::numeric_limits<float>::denorm_min());
  EXPECT_EQ(exp_float(-104.0f), 0.0f);
  EXPECT_EQ(exp_float(std::numeric_limits<float>::lowest()), 0.0f);
}

TEST(SoftmaxSum, IgnoresWhatIsImpossible) {
  const float inf = std::numeric_limits<float>::infinity();
  const std::vector<Candidate> c = {{0, -inf}, {1, 2.0f}, {2, 2.0f}, {3, -1000.0f}};
  const SoftmaxSum s = softmax_sum(c);
  EXPECT_EQ(s.max, 2.0f);
  EXPECT_EQ(s.sum, 2.0);
  EXPECT_EQ(s.probability(2.0f), 0.5f);
  EXPECT_EQ(s.probability(-inf), 0.0f);
}

}  // namespace
}  // namespace quipu::sampling
