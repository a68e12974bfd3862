#include "cli/run_options.h"

#include <gtest/gtest.h>

namespace quipu::cli {

namespace {

std::expected<Json, BadValue> read(const char* name, std::vector<std::string> values) {
  return read_option(*find_run_option(name), values);
}

TEST(RunOptions, ReadsEveryKind) {
  EXPECT_EQ(*read("num_ctx", {"4096"}), Json(4096));
  EXPECT_EQ(*read("temperature", {"0.25"}), Json(0.25));
  EXPECT_EQ(*read("temperature", {"1"}), Json(1.0));
  EXPECT_EQ(*read("seed", {"-1"}), Json(-1));
  EXPECT_EQ(*read("seed", {"9223372036854775807"}), Json(INT64_MAX));
  EXPECT_EQ(*read("repeat_guard", {"false"}), Json(false));
  EXPECT_EQ(*read("kv_cache_type", {"q8_0:f16"}), Json("q8_0:f16"));
  EXPECT_EQ(*read("stop", {"[/INST]", "{}", "\n"}), Json::array({"[/INST]", "{}", "\n"}));
}

TEST(RunOptions, NamesTheWrongKind) {
  for (const char* bad : {"abc", "", "1.5", "1e3", " 1", "1 ", "0x10", "--1"}) {
    const auto v = read("num_ctx", {bad});
    ASSERT_FALSE(v) << bad;
    EXPECT_TRUE(v.error().wrong_kind) << bad;
  }
  for (const char* bad : {"abc", "", "nan", "inf", "1,5", "0.5x"}) {
    const auto v = read("top_p", {bad});
    ASSERT_FALSE(v) << bad;
    EXPECT_TRUE(v.error().wrong_kind) << bad;
  }
  EXPECT_EQ(read("seed", {"abc"}).error().sentence, "takes a whole number, not 'abc'");
  EXPECT_EQ(read("seed", {"1", "2"}).error().sentence, "takes one value, not '1 2'");
  EXPECT_TRUE(read("repeat_guard", {"perhaps"}).error().wrong_kind);
}

TEST(RunOptions, NamesTheRange) {
  EXPECT_EQ(read("num_ctx", {"3"}).error().sentence, "must be at least 4, not 3");
  EXPECT_EQ(read("top_p", {"1.5"}).error().sentence, "must be between 0 and 1, not 1.5");
  EXPECT_EQ(read("temperature", {"-0.1"}).error().sentence, "must be between 0 and 100, not -0.1");
  for (const char* huge : {"2147483648", "99999999999999999999"}) {
    const auto v = read("num_ctx", {huge});
    ASSERT_FALSE(v) << huge;
    EXPECT_FALSE(v.error().wrong_kind) << huge;
  }
  EXPECT_FALSE(read("seed", {"9223372036854775808"}));
  EXPECT_FALSE(read("stop", {""}));
}

TEST(RunOptions, EveryOptionHasAFlagSafeNameAndHelp) {
  for (const RunOption& o : run_options()) {
    EXPECT_EQ(find_run_option(o.name), &o);
    EXPECT_EQ(std::string(o.name).find('-'), std::string::npos) << o.name;
    EXPECT_GT(std::string(o.help).size(), 10u) << o.name;
  }
  EXPECT_EQ(find_run_option("bogus"), nullptr);
  EXPECT_TRUE(is_option_without_effect("num_gpu"));
}

TEST(RunOptions, ShowsValuesAsTheyWereWritten) {
  EXPECT_EQ(show_value(Json(0.7)), "0.7");
  EXPECT_EQ(show_value(Json(42)), "42");
  EXPECT_EQ(show_value(Json::array({"a", "b"})), "a, b");
  EXPECT_EQ(show_value(Json(true)), "true");
}

}  // namespace

}  // namespace quipu::cli
