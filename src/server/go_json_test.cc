#include "server/go_json.h"

#include <gtest/gtest.h>

namespace quipu::server {
namespace {

TEST(GoJson, Strings) {
  const std::pair<std::string, const char*> cases[] = {
      {"plain", R"("plain")"},
      {"<b>&\"\\", R"("\u003cb\u003e\u0026\"\\")"},
      {"\n\r\t\b\f\x01\x1f", R"("\n\r\t\b\f\u0001\u001f")"},
      {"\u2028\u2029", R"("\u2028\u2029")"},
      {"caf\u00e9 \U0001F600 \x7f", "\"caf\u00e9 \U0001F600 \x7f\""},
      {"\xff|\xc3|\xed\xa0\x80|\xf4\x90\x80\x80",
       R"("\ufffd|\ufffd|\ufffd\ufffd\ufffd|\ufffd\ufffd\ufffd\ufffd")"},
      {std::string("a\0b", 3), R"("a\u0000b")"}};
  for (const auto& [text, expected] : cases) EXPECT_EQ(go_json(Json(text)), expected);
}

TEST(GoJson, Values) {
  const Json v = {{"z", 1},
                  {"a", {1.5, -2, true, nullptr, Json::object(), Json::array()}},
                  {"<", uint64_t{18446744073709551615u}}};
  EXPECT_EQ(go_json(v), R"({"z":1,"a":[1.5,-2,true,null,{},[]],"\u003c":18446744073709551615})");
}

TEST(GoJson, Floats) {
  const std::pair<double, const char*> cases[] = {{0.0, "0"},
                                                  {1.0, "1"},
                                                  {0.1, "0.1"},
                                                  {-2.5, "-2.5"},
                                                  {1e20, "100000000000000000000"},
                                                  {1e21, "1e+21"},
                                                  {1e-6, "0.000001"},
                                                  {1e-7, "1e-7"},
                                                  {1.5e-10, "1.5e-10"},
                                                  {1e100, "1e+100"}};
  for (const auto& [value, text] : cases) EXPECT_EQ(go_json(Json(value)), text);
}

TEST(GoJson, Times) {
  EXPECT_EQ(utc_time(0), "1970-01-01T00:00:00Z");
  EXPECT_EQ(utc_time(1'700'000'000'500'000'000), "2023-11-14T22:13:20.5Z");
  EXPECT_EQ(utc_time(1'700'000'000'000'000'001), "2023-11-14T22:13:20.000000001Z");
  setenv("TZ", "Asia/Kolkata", 1);
  tzset();
  EXPECT_EQ(local_time(1'700'000'000'000'000'000), "2023-11-15T03:43:20+05:30");
  setenv("TZ", "UTC", 1);
  tzset();
  EXPECT_EQ(local_time(1'700'000'000'000'000'000), "2023-11-14T22:13:20Z");
  unsetenv("TZ");
}

}  // namespace
}  // namespace quipu::server
