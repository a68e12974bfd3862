#include "fleet/failure.h"

#include <gtest/gtest.h>

namespace quipu::fleet {
namespace {

TEST(Failure, ReadsWhatARunnerWrites) {
  const Failure f =
      failure_of({{"error", "no"}, {"code", "out_of_memory"}, {"plan", {{"fits", "no"}}}}, "otherwise");
  EXPECT_EQ(f.code, Code::kOutOfMemory);
  EXPECT_EQ(f.message, "no");
  EXPECT_EQ(f.plan, Json({{"fits", "no"}}));
  for (const char* code : {"invalid_argument", "not_found", "unsupported", "corrupt", "out_of_memory", "io",
                           "cancelled", "unavailable", "internal"})
    EXPECT_STREQ(code_name(failure_of({{"code", code}}, "x").code), code);
}

TEST(Failure, OfWhatIsNone) {
  for (const Json& body :
       {Json::array(), Json(), Json({{"error", 1}, {"code", 2}, {"plan", 3}, {"table", 4}}),
        Json({{"error", ""}, {"code", "odd"}}), Json::parse("x", nullptr, false)}) {
    const Failure f = failure_of(body, "otherwise");
    EXPECT_EQ(f.message, "otherwise");
    EXPECT_EQ(f.code, Code::kInternal);
    EXPECT_TRUE(f.plan.is_null());
    EXPECT_EQ(f.table, "");
  }
}

}  // namespace
}  // namespace quipu::fleet
