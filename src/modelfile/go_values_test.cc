#include "modelfile/go_values.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

namespace quipu::modelfile {
namespace {

TEST(GoValues, Integers) {
  EXPECT_EQ(parse_go_int("8192"), 8192);
  EXPECT_EQ(parse_go_int("-1"), -1);
  EXPECT_EQ(parse_go_int("+7"), 7);
  EXPECT_EQ(parse_go_int("007"), 7);
  EXPECT_EQ(parse_go_int("9223372036854775807"), std::numeric_limits<int64_t>::max());
  EXPECT_EQ(parse_go_int("-9223372036854775808"), std::numeric_limits<int64_t>::min());
  for (const char* bad : {"", "+", "-", "+-1", "--1", "1.5", "1e3", "0x10", "1_000", " 1", "1 ", "abc",
                          "9223372036854775808", "99999999999999999999999"})
    EXPECT_FALSE(parse_go_int(bad)) << bad;
}

TEST(GoValues, Floats) {
  EXPECT_EQ(parse_go_float("0.7"), 0.7f);
  EXPECT_EQ(parse_go_float("-.5"), -0.5f);
  EXPECT_EQ(parse_go_float("+2."), 2.0f);
  EXPECT_EQ(parse_go_float("1e-2"), 0.01f);
  EXPECT_EQ(parse_go_float("1E+2"), 100.0f);
  EXPECT_EQ(parse_go_float("1_0.2_5"), 10.25f);
  EXPECT_EQ(parse_go_float("0x1p-2"), 0.25f);
  EXPECT_EQ(parse_go_float("-0X1.8P1"), -3.0f);
  EXPECT_EQ(parse_go_float("0x_1p1"), 2.0f);
  EXPECT_EQ(parse_go_float("1e-400"), 0.0f);
  EXPECT_EQ(parse_go_float("0." + std::string(400, '0') + "1"), 0.0f);
  EXPECT_EQ(parse_go_float("16777217"), 16777216.0f);
  for (const char* bad :
       {"",     ".",   "-",  "e5",   "1e",  "1e+", "abc", "1.2.3", "1e400", "-1e39", "1__0", "_1", "1_",
        "1._5", "0x1", "0x", "0xp1", "inf", "NaN", "+-1", "--1",   "1f",    " 1",    "1 ",   "1,5"})
    EXPECT_FALSE(parse_go_float(bad)) << bad;
  EXPECT_FALSE(parse_go_float(std::string(400, '9')));
}

TEST(GoValues, Booleans) {
  for (const char* yes : {"1", "t", "T", "true", "TRUE", "True"}) EXPECT_EQ(parse_go_bool(yes), true);
  for (const char* no : {"0", "f", "F", "false", "FALSE", "False"}) EXPECT_EQ(parse_go_bool(no), false);
  for (const char* bad : {"", "yes", "no", "tRUE", "2", " true"}) EXPECT_FALSE(parse_go_bool(bad)) << bad;
}

TEST(GoValues, Versions) {
  for (const char* good : {"v1", "v1.2", "v1.2.3", "v0.0.0", "v1.2.3-rc1", "v1.2.3-rc.1", "v1.2.3+build.5",
                           "v1.2.3-a-b.0+001", "v10.20.30", "v1.2.3-0a"})
    EXPECT_TRUE(is_go_semver(good)) << good;
  for (const char* bad :
       {"", "v", "1.2.3", "vv1", "v01.2.3", "v1.02.3", "v1.2.", "v1.2.3.4", "v1-rc", "v1.2-rc", "v1.2.3-",
        "v1.2.3-01", "v1.2.3-a..b", "v1.2.3+", "v1.2.3+a..b", "v1.2.3 ", "v1.2.3-é", "soon", "v1.a"})
    EXPECT_FALSE(is_go_semver(bad)) << bad;
}

}  // namespace
}  // namespace quipu::modelfile
