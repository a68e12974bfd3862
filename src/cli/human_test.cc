#include "cli/human.h"

#include <gtest/gtest.h>

namespace quipu::cli {

namespace {

TEST(Human, BytesAreDecimalAndCutOff) {
  EXPECT_EQ(human_bytes(0), "0 B");
  EXPECT_EQ(human_bytes(999), "999 B");
  EXPECT_EQ(human_bytes(1000), "1 KB");
  EXPECT_EQ(human_bytes(1500), "1.5 KB");
  EXPECT_EQ(human_bytes(98'362'432), "98 MB");
  EXPECT_EQ(human_bytes(2'000'000'000), "2 GB");
  EXPECT_EQ(human_bytes(9'600'000'000), "9.6 GB");
  EXPECT_EQ(human_bytes(11'999'999'999), "11 GB");
  EXPECT_EQ(human_bytes(999'999'999), "999 MB");
  EXPECT_EQ(human_bytes(1'000'000'000'000), "1 TB");
  EXPECT_EQ(human_bytes(UINT64_MAX), "18446744 TB");
}

TEST(Human, ParameterCounts) {
  EXPECT_EQ(parameter_count(134'515'008), "134.52M");
  EXPECT_EQ(parameter_count(8'000'000'000), "8B");
  EXPECT_EQ(parameter_count(8'030'261'312), "8.0B");
  EXPECT_EQ(parameter_count(7'000'000), "7M");
  EXPECT_EQ(parameter_count(260'032), "260K");
  EXPECT_EQ(parameter_count(1'600), "2K");
  EXPECT_EQ(parameter_count(12), "12");
}

TEST(Human, ReadsMoments) {
  EXPECT_EQ(parse_moment("1970-01-01T00:00:00Z")->seconds, 0);
  EXPECT_EQ(parse_moment("2026-11-23T22:45:08Z")->seconds, 1795473908);
  EXPECT_EQ(parse_moment("2026-11-23T23:45:08+01:00")->seconds, 1795473908);
  EXPECT_EQ(parse_moment("2026-11-23T18:15:08-04:30")->seconds, 1795473908);
  EXPECT_NEAR(parse_moment("2026-11-23T22:45:08.568769587Z")->fraction, 0.568769587, 1e-9);
  EXPECT_TRUE(parse_moment("2319-01-01T00:00:00Z"));  // what no 64 bits of nanoseconds hold
  for (const char* bad :
       {"", "2026", "2026-11-23", "2026-13-23T22:45:08Z", "2026-02-30T22:45:08Z", "2026-11-23T22:45:08",
        "2026-11-23T25:45:08Z", "2026-11-23T22:45:08Zx", "2026-11-23T22:45:08+1", "x026-11-23T22:45:08Z"})
    EXPECT_FALSE(parse_moment(bad)) << bad;
}

std::string ago(double seconds) { return human_time({1'000'000'000, 0}, {1'000'000'000, seconds}, "Never"); }

TEST(Human, TimesInWords) {
  constexpr double kMinute = 60, kHour = 3600, kDay = 24 * kHour;
  EXPECT_EQ(ago(0), "Less than a second ago");
  EXPECT_EQ(ago(1.9), "1 second ago");
  EXPECT_EQ(ago(59.9), "59 seconds ago");
  EXPECT_EQ(ago(kMinute), "About a minute ago");
  EXPECT_EQ(ago(2 * kMinute - 1), "About a minute ago");
  EXPECT_EQ(ago(2 * kMinute), "2 minutes ago");
  EXPECT_EQ(ago(59.99 * kMinute), "59 minutes ago");
  EXPECT_EQ(ago(kHour), "About an hour ago");
  EXPECT_EQ(ago(1.5 * kHour), "2 hours ago");
  EXPECT_EQ(ago(47.4 * kHour), "47 hours ago");
  EXPECT_EQ(ago(48 * kHour), "2 days ago");
  EXPECT_EQ(ago(13.9 * kDay), "13 days ago");
  EXPECT_EQ(ago(14 * kDay), "2 weeks ago");
  EXPECT_EQ(ago(59 * kDay), "8 weeks ago");
  EXPECT_EQ(ago(60 * kDay), "2 months ago");
  EXPECT_EQ(ago(729 * kDay), "24 months ago");
  EXPECT_EQ(ago(730 * kDay), "2 years ago");
  EXPECT_EQ(ago(-4.5 * kMinute), "4 minutes from now");
  EXPECT_EQ(ago(-20.5 * 365 * kDay), "20 years from now");
  EXPECT_EQ(ago(-21 * 365 * kDay), "Forever");
  EXPECT_EQ(human_time(*parse_moment("0001-01-01T00:00:00Z"), now(), "Never"), "Never");
}

}  // namespace

}  // namespace quipu::cli
