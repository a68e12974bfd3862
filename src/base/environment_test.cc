#include "base/environment.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace quipu {
namespace {

constexpr const char* kName = "QUIPU_TEST_VARIABLE";
constexpr const char* kOther = "QUIPU_TEST_OTHER_VARIABLE";

class Environment : public testing::Test {
 protected:
  void TearDown() override {
    unsetenv(kName);
    unsetenv(kOther);
  }
};

TEST_F(Environment, ValuesLoseWhatSurroundsThem) {
  EXPECT_FALSE(environment(kName));
  const std::pair<const char*, const char*> cases[] = {{"x", "x"},     {"  x y\t", "x y"}, {"\"x\"", "x"},
                                                       {" 'x' ", "x"}, {"\"'x'\"", "x"},   {"\" x\"", " x"}};
  for (const auto& [set, value] : cases) {
    setenv(kName, set, 1);
    ASSERT_TRUE(environment(kName)) << set;
    EXPECT_EQ(environment(kName)->value, value);
  }
  for (const char* empty : {"", " ", "\"\"", " '' "}) {
    setenv(kName, empty, 1);
    EXPECT_FALSE(environment(kName)) << empty;
  }
}

TEST_F(Environment, TheFirstThatIsSetCounts) {
  setenv(kOther, "b", 1);
  EXPECT_EQ(environment({kName, kOther})->name, kOther);
  setenv(kName, "a", 1);
  EXPECT_EQ(environment({kName, kOther})->value, "a");
  setenv(kName, "", 1);
  EXPECT_EQ(environment({kName, kOther})->value, "b");
}

TEST_F(Environment, Switches) {
  for (const char* off : {"0", "f", "false", "False", "FALSE", "off", "no"})
    EXPECT_FALSE((Variable{kName, off}.on())) << off;
  for (const char* on : {"1", "t", "true", "on", "anything"}) EXPECT_TRUE((Variable{kName, on}.on())) << on;
}

TEST_F(Environment, WholeNumbers) {
  EXPECT_EQ((Variable{kName, "12"}.whole_number(0, 12)), 12);
  EXPECT_EQ((Variable{kName, "-1"}.whole_number(-1, 12)), -1);
  for (const char* bad : {"13", "-1", "1.5", "1x", "x", "99999999999999999999"}) {
    const auto n = Variable{kName, bad}.whole_number(0, 12);
    ASSERT_FALSE(n) << bad;
    EXPECT_EQ(n.error().message, fmt::format("{}={} is not a whole number between 0 and 12", kName, bad));
  }
}

TEST_F(Environment, Durations) {
  const std::pair<const char*, int64_t> cases[] = {{"90", 90'000'000'000},
                                                   {"1.5", 1'500'000'000},
                                                   {"1m30s", 90'000'000'000},
                                                   {"250ms", 250'000'000},
                                                   {"0", 0},
                                                   {"-0", 0}};
  for (const auto& [text, ns] : cases) {
    EXPECT_EQ((Variable{kName, text}.duration_ns()), ns) << text;
    EXPECT_EQ((Variable{kName, text}.signed_duration_ns()), ns) << text;
  }
  for (const char* bad : {"x", "5x", "1e300", "nan", "s"}) {
    EXPECT_FALSE((Variable{kName, bad}.duration_ns())) << bad;
    EXPECT_FALSE((Variable{kName, bad}.signed_duration_ns())) << bad;
  }
  const std::pair<const char*, int64_t> negative[] = {
      {"-1", -1'000'000'000}, {"-1m", -60'000'000'000}, {"-0.5", -500'000'000}};
  for (const auto& [text, ns] : negative) {
    EXPECT_EQ((Variable{kName, text}.signed_duration_ns()), ns) << text;
    const auto refused = Variable{kName, text}.duration_ns();
    ASSERT_FALSE(refused) << text;
    EXPECT_TRUE(refused.error().message.starts_with(fmt::format("{}={} is negative", kName, text)))
        << refused.error().message;
  }
}

}  // namespace
}  // namespace quipu
