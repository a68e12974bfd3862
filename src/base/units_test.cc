#include "base/units.h"

#include <gtest/gtest.h>

namespace quipu {
namespace {

TEST(Units, Bytes) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(1536), "1.5 KiB");
  EXPECT_EQ(format_bytes(1ull << 30), "1.0 GiB");
  EXPECT_EQ(format_bytes(UINT64_MAX), "16.0 EiB");

  EXPECT_EQ(format_bytes_up(1023), "1023 B");
  EXPECT_EQ(format_bytes_up(1536), "1.5 KiB");
  EXPECT_EQ(format_bytes_up(1537), "1.6 KiB");
  EXPECT_EQ(format_bytes_up((1ull << 30) + 1), "1.1 GiB");
  for (uint64_t n = 1; n < 1ull << 40; n += n / 7 + 1)
    EXPECT_GE(parse_bytes(format_bytes_up(n)).value_or(0), n) << format_bytes_up(n);
}

TEST(Units, ParseBytes) {
  EXPECT_EQ(parse_bytes("17").value(), 17u);
  EXPECT_EQ(parse_bytes("2 GiB").value(), 2ull << 30);
  EXPECT_EQ(parse_bytes("512KiB").value(), 512u << 10);
  EXPECT_EQ(parse_bytes("1.5GB").value(), 1'500'000'000u);
  for (const char* bad : {"", "x", "-1", "1 XB", "inf", "nan", "1e300", "9999999999 TiB"})
    EXPECT_FALSE(parse_bytes(bad).has_value()) << bad;
}

TEST(Units, SizesMayBePartsOfAWhole) {
  const auto of = [](const char* text, uint64_t whole) { return parse_byte_share(text).value().of(whole); };
  EXPECT_EQ(of("8GiB", 1), 8ull << 30);
  EXPECT_EQ(of("0", 1), 0u);
  EXPECT_EQ(of("60%", 1000), 600u);
  EXPECT_EQ(of("12.5 %", 1000), 125u);
  EXPECT_EQ(of("100%", UINT64_MAX), UINT64_MAX);
  EXPECT_EQ(of("50%", 0), 0u);
  for (const char* bad : {"", "%", "0%", "-5%", "101%", "nan%", "inf%", "x%", "5%%", "5% of it", "1e400%"})
    EXPECT_FALSE(parse_byte_share(bad).has_value()) << bad;
}

TEST(Units, DurationsAsGoWritesThem) {
  EXPECT_EQ(format_duration_ns(0), "0s");
  EXPECT_EQ(format_duration_ns(1), "1ns");
  EXPECT_EQ(format_duration_ns(1'500), "1.5µs");
  EXPECT_EQ(format_duration_ns(43'180'000), "43.18ms");
  EXPECT_EQ(format_duration_ns(1'500'000'000), "1.5s");
  EXPECT_EQ(format_duration_ns(90'000'000'000), "1m30s");
  EXPECT_EQ(format_duration_ns(3'600'000'000'000), "1h0m0s");
  EXPECT_EQ(format_duration_ns(-1'500'000), "-1.5ms");
}

TEST(Units, DurationsAsGoReadsThem) {
  const std::pair<const char*, int64_t> good[] = {{"10m", 600'000'000'000},
                                                  {"1h30m", 5'400'000'000'000},
                                                  {"300ms", 300'000'000},
                                                  {"0", 0},
                                                  {"-0", 0},
                                                  {"+5s", 5'000'000'000},
                                                  {"-1m", -60'000'000'000},
                                                  {"1.5s", 1'500'000'000},
                                                  {".5s", 500'000'000},
                                                  {"5.s", 5'000'000'000},
                                                  {"1us", 1'000},
                                                  {"1µs", 1'000},
                                                  {"1μs", 1'000},
                                                  {"2h45m1s3ns", 9'901'000'000'003},
                                                  {"9223372036854775807ns", INT64_MAX},
                                                  {"-9223372036854775808ns", INT64_MIN}};
  for (const auto& [text, ns] : good) EXPECT_EQ(parse_duration_ns(text), ns) << text;
  const std::pair<const char*, const char*> bad[] = {
      {"300", "time: missing unit in duration \"300\""},
      {"-1", "time: missing unit in duration \"-1\""},
      {"abc", "time: invalid duration \"abc\""},
      {"", "time: invalid duration \"\""},
      {"-", "time: invalid duration \"-\""},
      {".s", "time: invalid duration \".s\""},
      {"1x", "time: unknown unit \"x\" in duration \"1x\""},
      {"1m3", "time: missing unit in duration \"1m3\""},
      {"9223372036854775808ns", "time: invalid duration \"9223372036854775808ns\""},
      {"99999999999999999999h", "time: invalid duration \"99999999999999999999h\""},
      {"3000000h", "time: invalid duration \"3000000h\""}};
  for (const auto& [text, message] : bad) {
    const auto r = parse_duration_ns(text);
    ASSERT_FALSE(r) << text;
    EXPECT_EQ(r.error().message, message);
  }
}

}  // namespace
}  // namespace quipu
