#include "base/cpu.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace quipu {
namespace {

Result<Isa> chosen(const char* wanted) {
  setenv("QUIPU_ISA", wanted, 1);
  auto isa = choose_isa();
  unsetenv("QUIPU_ISA");
  return isa;
}

TEST(Cpu, WithoutAWishTheBestIsTaken) {
  unsetenv("QUIPU_ISA");
  EXPECT_EQ(choose_isa().value(), best_isa());
  EXPECT_EQ(chosen("").value(), best_isa()) << "empty counts as not set";
}

TEST(Cpu, AWishIsGrantedIfTheProcessorCan) {
  for (Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512}) {
    const auto got = chosen(isa_name(isa));
    if (isa <= best_isa()) {
      EXPECT_EQ(got.value(), isa);
    } else {
      ASSERT_FALSE(got.has_value());
      EXPECT_EQ(got.error().code, Code::kUnsupported);
      EXPECT_NE(got.error().message.find(isa_name(isa)), std::string::npos);
    }
  }
}

TEST(Cpu, AnUnknownNameIsAnErrorThatSaysWhatThereIs) {
  for (const char* bad : {"sse2", "AVX2", "avx2 x", "512"}) {
    const auto isa = chosen(bad);
    ASSERT_FALSE(isa.has_value()) << bad;
    EXPECT_NE(isa.error().message.find("scalar, avx2 or avx512"), std::string::npos);
    EXPECT_NE(isa.error().message.find(bad), std::string::npos);
  }
}

}  // namespace
}  // namespace quipu
