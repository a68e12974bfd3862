#include "server/times.h"

#include <gtest/gtest.h>

namespace quipu::server {
namespace {

TEST(Times, AsInAnswers) {
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
