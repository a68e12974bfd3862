#include "base/go_json.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace quipu {
namespace {

using nlohmann::ordered_json;

std::string of(const char* text) { return go_json(ordered_json::parse(text)); }

TEST(GoJson, Escapes) {
  EXPECT_EQ(go_json(ordered_json("<|im_start|>&\"\\/")), R"("\u003c|im_start|\u003e\u0026\"\\/")");
  EXPECT_EQ(go_json(ordered_json("\b\f\n\r\t\x01\x1f\x7f")), R"("\b\f\n\r\t\u0001\u001f)"
                                                             "\x7f\"");
  EXPECT_EQ(go_json(ordered_json(std::string("a\0b", 3))), R"("a\u0000b")");
  EXPECT_EQ(go_json(ordered_json("\u2028\u2029\u2027")), "\"\\u2028\\u2029\u2027\"");
  EXPECT_EQ(go_json(ordered_json("Größe 🚲")), "\"Größe 🚲\"");
  EXPECT_EQ(go_json(ordered_json("\xff\xe2\x82")), R"("\ufffd\ufffd\ufffd")");
}

TEST(GoJson, KeepsOrSortsKeys) {
  constexpr char kText[] = R"({"b":[1,{"z":null,"a":true}],"a":{},"<":[]})";
  EXPECT_EQ(go_json(ordered_json::parse(kText)), R"({"b":[1,{"z":null,"a":true}],"a":{},"\u003c":[]})");
  EXPECT_EQ(go_json(nlohmann::json::parse(kText)), R"({"\u003c":[],"a":{},"b":[1,{"a":true,"z":null}]})");
}

TEST(GoJson, Numbers) {
  EXPECT_EQ(of("[0,-1,18446744073709551615,-9223372036854775808]"),
            "[0,-1,18446744073709551615,-9223372036854775808]");
  EXPECT_EQ(of("[0.7,1.0,100000.0,1e5,123.456,-0.5]"), "[0.7,1,100000,100000,123.456,-0.5]");
  EXPECT_EQ(of("[1e20,1e21,1.5e21,1.2345678901234568e20]"),
            "[100000000000000000000,1e+21,1.5e+21,123456789012345680000]");
  EXPECT_EQ(of("[1e-6,1e-7,1.5e-9,1e-12,1e-100,5e-324]"), "[0.000001,1e-7,1.5e-9,1e-12,1e-100,5e-324]");
  EXPECT_EQ(of("[1.7976931348623157e308,0.1,0.30000000000000004]"),
            "[1.7976931348623157e+308,0.1,0.30000000000000004]");
  EXPECT_EQ(go_json_number(-0.0), "-0");
  EXPECT_EQ(go_json_number(std::numeric_limits<double>::infinity()), "null");
  EXPECT_EQ(go_json_number(std::nan("")), "null");
  EXPECT_EQ(go_json_number(shortest_double(0.1f)), "0.1");
  EXPECT_EQ(go_json_number(shortest_double(1e-5f)), "0.00001");
  EXPECT_EQ(go_json_number(shortest_double(1e-12f)), "1e-12");
  EXPECT_EQ(go_json_number(shortest_double(16777216.0f)), "16777216");
}

TEST(GoJson, StringsOfAnswers) {
  const std::pair<std::string, const char*> cases[] = {
      {"plain", R"("plain")"},
      {"<b>&\"\\", R"("\u003cb\u003e\u0026\"\\")"},
      {"\n\r\t\b\f\x01\x1f", R"("\n\r\t\b\f\u0001\u001f")"},
      {"\u2028\u2029", R"("\u2028\u2029")"},
      {"caf\u00e9 \U0001F600 \x7f", "\"caf\u00e9 \U0001F600 \x7f\""},
      {"\xff|\xc3|\xed\xa0\x80|\xf4\x90\x80\x80",
       R"("\ufffd|\ufffd|\ufffd\ufffd\ufffd|\ufffd\ufffd\ufffd\ufffd")"},
      {std::string("a\0b", 3), R"("a\u0000b")"}};
  for (const auto& [text, expected] : cases) EXPECT_EQ(go_json(ordered_json(text)), expected);
}

TEST(GoJson, ValuesOfAnswers) {
  const ordered_json v = {{"z", 1},
                          {"a", {1.5, -2, true, nullptr, ordered_json::object(), ordered_json::array()}},
                          {"<", uint64_t{18446744073709551615u}}};
  EXPECT_EQ(go_json(v), R"({"z":1,"a":[1.5,-2,true,null,{},[]],"\u003c":18446744073709551615})");
}

TEST(GoJson, FloatsOfAnswers) {
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
  for (const auto& [value, text] : cases) EXPECT_EQ(go_json(ordered_json(value)), text);
}

TEST(GoJson, NumbersOfFormats) {
  EXPECT_EQ(go_number(512), "512");
  EXPECT_EQ(go_number(131072), "131072");
  EXPECT_EQ(go_number(1000000), "1e+06");
  EXPECT_EQ(go_number(1048576), "1.048576e+06");
  EXPECT_EQ(go_number(0.7), "0.7");
  EXPECT_EQ(go_number(0.0001), "0.0001");
  EXPECT_EQ(go_number(0.00001), "1e-05");
  EXPECT_EQ(go_number(-1), "-1");
  EXPECT_EQ(go_number(1e100), "1e+100");
}

TEST(GoJson, DepthCostsNoStack) {
  ordered_json deep = ordered_json::array();
  for (int i = 0; i < 200'000; ++i) {
    ordered_json outer = ordered_json::array();
    outer.push_back(std::move(deep));
    deep = std::move(outer);
  }
  EXPECT_EQ(go_json(deep).size(), 2u * 200'001);
}

}  // namespace
}  // namespace quipu
