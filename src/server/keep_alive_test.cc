#include "server/keep_alive.h"

#include <gtest/gtest.h>

namespace quipu::server {
namespace {

using std::chrono::nanoseconds;

TEST(KeepAliveField, Grammar) {
  const std::pair<Json, int64_t> good[] = {{10, 10'000'000'000},
                                           {1.5, 1'500'000'000},
                                           {0, 0},
                                           {-1, -1},
                                           {-0.5, -1},
                                           {"10m", 600'000'000'000},
                                           {"1h30m", 5'400'000'000'000},
                                           {"300ms", 300'000'000},
                                           {"0", 0},
                                           {"-1m", -1}};
  for (const auto& [value, ns] : good) {
    const auto k = parse_keep_alive(&value);
    ASSERT_TRUE(k) << value;
    ASSERT_TRUE(*k) << value;
    EXPECT_EQ((*k)->count(), ns) << value;
  }
  EXPECT_FALSE(*parse_keep_alive(nullptr));
  const Json null;
  EXPECT_FALSE(*parse_keep_alive(&null));
  const Json huge = 1e300;
  EXPECT_GT((*parse_keep_alive(&huge))->count(), int64_t{1} << 62);
  const std::pair<Json, const char*> bad[] = {
      {"300", "time: missing unit in duration \"300\""},
      {"abc", "time: invalid duration \"abc\""},
      {"", "time: invalid duration \"\""},
      {true, "Unsupported type: 'bool'"},
      {Json::array(), "Unsupported type: '[]interface {}'"},
      {Json::object(), "Unsupported type: 'map[string]interface {}'"}};
  for (const auto& [value, message] : bad) {
    const auto k = parse_keep_alive(&value);
    ASSERT_FALSE(k) << value;
    EXPECT_EQ(k.error().message, message);
  }
}

TEST(ThinkField, Grammar) {
  for (const Json& value : {Json(true), Json(false), Json("low"), Json("medium"), Json("high"), Json("max")})
    EXPECT_EQ(parse_think(&value), value);
  EXPECT_TRUE(parse_think(nullptr)->is_null());
  const Json word = "ultra", number = 3;
  EXPECT_EQ(parse_think(&word).error().message,
            R"(invalid think value: "ultra" (must be "high", "medium", "low", "max", true, or false))");
  EXPECT_EQ(parse_think(&number).error().message,
            R"(think must be a boolean or string ("high", "medium", "low", "max", true, or false))");
}

}  // namespace
}  // namespace quipu::server
