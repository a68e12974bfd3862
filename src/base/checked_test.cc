#include "base/checked.h"

#include <gtest/gtest.h>

namespace quipu {
namespace {

TEST(Checked, Addition) {
  EXPECT_EQ(checked_add<uint64_t>(UINT64_MAX, 1), std::nullopt);
  EXPECT_EQ(checked_add<uint64_t>(UINT64_MAX - 1, 1), UINT64_MAX);
  EXPECT_EQ(checked_add<int64_t>(INT64_MIN, -1), std::nullopt);
  EXPECT_EQ(checked_add<int32_t>(INT32_MAX, -1), INT32_MAX - 1);
  EXPECT_EQ((checked_add<uint8_t>(200, 100)), std::nullopt) << "narrow types do not overflow into int";
}

TEST(Checked, Multiplication) {
  EXPECT_EQ(checked_mul<int64_t>(INT64_MAX, 2), std::nullopt);
  EXPECT_EQ(checked_mul<int64_t>(INT64_MIN, -1), std::nullopt);
  EXPECT_EQ(checked_mul<int64_t>(3, 4), 12);
  EXPECT_EQ(checked_mul<uint64_t>(uint64_t{1} << 32, uint64_t{1} << 32), std::nullopt);
  EXPECT_EQ(checked_mul<uint64_t>(UINT64_MAX, 0), 0u);
}

TEST(Checked, Casts) {
  EXPECT_EQ((checked_cast<int32_t, int64_t>(int64_t{1} << 40)), std::nullopt);
  EXPECT_EQ((checked_cast<uint32_t, int64_t>(-1)), std::nullopt);
  EXPECT_EQ((checked_cast<int64_t, uint64_t>(UINT64_MAX)), std::nullopt);
  EXPECT_EQ((checked_cast<int64_t, uint64_t>(INT64_MAX)), INT64_MAX);
  EXPECT_EQ((checked_cast<uint64_t, int32_t>(7)), 7u);
}

TEST(Checked, Rounding) {
  EXPECT_EQ(checked_round_up<uint64_t>(0, 32), 0u);
  EXPECT_EQ(checked_round_up<uint64_t>(32, 32), 32u);
  EXPECT_EQ(checked_round_up<uint64_t>(33, 32), 64u);
  EXPECT_EQ(checked_round_up<uint64_t>(UINT64_MAX, 32), std::nullopt);
  EXPECT_EQ(checked_round_up<uint64_t>(UINT64_MAX - 31, 32), UINT64_MAX - 31);
  EXPECT_EQ(round_up<size_t>(65, 64), 128u);
  EXPECT_EQ(ceil_div<int64_t>(65, 32), 3);
  EXPECT_EQ(ceil_div<int64_t>(64, 32), 2);
  EXPECT_EQ(ceil_div<int64_t>(0, 32), 0);
}

}  // namespace
}  // namespace quipu
