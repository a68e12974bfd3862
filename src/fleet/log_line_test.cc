#include "fleet/log_line.h"

#include <gtest/gtest.h>

namespace quipu::fleet {
namespace {

using Level = spdlog::level::level_enum;

TEST(LogLine, KeepsTheLevelOfWhatIsOne) {
  const LogLine text = parse_log_line("2026-11-25T17:01:02.345 I loading: a, b");
  EXPECT_EQ(text.level, Level::info);
  EXPECT_EQ(text.text, "loading: a, b");
  EXPECT_EQ(parse_log_line("2026-11-25T17:01:02.345 E \tx").text, " x");
  EXPECT_EQ(parse_log_line("2026-11-25T17:01:02.345 C x").level, Level::critical);
  const LogLine json = parse_log_line(
      R"({"time":"2026-11-25T17:01:02.345+0000","level":"error","pid":7,"message":"a \"b\"\nc"})");
  EXPECT_EQ(json.level, Level::err);
  EXPECT_EQ(json.text, "a \"b\" c");
  EXPECT_EQ(parse_log_line(R"({"level":"warning","message":""})").level, Level::warn);
}

TEST(LogLine, EverythingElseIsAWarning) {
  for (const char* line : {"", "terminate called", "2026-11-25T17:01:02.345 X x", "2026-11-25T17:01:02.345 I",
                           "2026-11-25 17:01:02.345 I x", "{", "{}", "[1]", R"({"level":1,"message":"x"})",
                           R"({"level":"loud"})"}) {
    const LogLine l = parse_log_line(line);
    EXPECT_EQ(l.level, Level::warn) << line;
    EXPECT_EQ(l.text, line);
  }
  EXPECT_EQ(parse_log_line(R"({"level":"loud","message":"x"})").level, Level::warn);
  EXPECT_EQ(parse_log_line("a\x1b[2Jb\x7f").text, "a [2Jb ");
}

}  // namespace
}  // namespace quipu::fleet
