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
}

TEST(Units, ParseBytes) {
  EXPECT_EQ(parse_bytes("17").value(), 17u);
  EXPECT_EQ(parse_bytes("2 GiB").value(), 2ull << 30);
  EXPECT_EQ(parse_bytes("512KiB").value(), 512u << 10);
  EXPECT_EQ(parse_bytes("1.5GB").value(), 1'500'000'000u);
  for (const char* bad : {"", "x", "-1", "1 XB", "inf", "nan", "1e300", "9999999999 TiB"})
    EXPECT_FALSE(parse_bytes(bad).has_value()) << bad;
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

}  // namespace
}  // namespace quipu
