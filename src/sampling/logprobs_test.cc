#include "sampling/logprobs.h"

#include <gtest/gtest.h>

#include <cfloat>
#include <cmath>
#include <limits>
#include <random>

namespace quipu::sampling {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

TEST(LogSoftmax, IsWhatTheFormulaSays) {
  std::mt19937 random(1);
  for (const float spread : {0.1f, 5.0f, 80.0f}) {
    std::vector<float> logits(1000);
    for (float& l : logits) l = (static_cast<float>(random()) * 0x1p-31f - 1) * spread;
    double sum = 0;
    for (const float l : logits) sum += std::exp(static_cast<double>(l));
    const LogSoftmax softmax(logits);
    for (const float l : logits) EXPECT_NEAR(softmax(l), l - std::log(sum), 1e-5 * spread + 1e-6);
  }
}

TEST(LogSoftmax, CannotOverflow) {
  const std::vector<float> logits = {FLT_MAX, -FLT_MAX, 0, kInf};
  const LogSoftmax softmax(logits);
  EXPECT_NEAR(softmax(FLT_MAX), -std::log(2.0), 1e-6) << "infinity counts as the largest number";
  EXPECT_NEAR(softmax(kInf), -std::log(2.0), 1e-6);
  EXPECT_EQ(softmax(0), LogSoftmax::kLeast);
  EXPECT_EQ(softmax(-FLT_MAX), LogSoftmax::kLeast);
}

TEST(LogSoftmax, WhatIsImpossibleHasTheLeast) {
  const LogSoftmax softmax(std::vector<float>{1, -kInf, kNaN});
  EXPECT_EQ(softmax(1), 0.0f);
  EXPECT_EQ(softmax(-kInf), LogSoftmax::kLeast);
  EXPECT_EQ(softmax(kNaN), LogSoftmax::kLeast);
  const LogSoftmax nothing(std::vector<float>{-kInf, kNaN});
  EXPECT_EQ(nothing(-kInf), LogSoftmax::kLeast);
}

TEST(MostProbable, AreInOrder) {
  const std::vector<float> logits = {1, 3, 2, 3, kNaN, -kInf, -1};
  std::vector<Candidate> memory(logits.size());
  const LogSoftmax softmax(logits);
  const auto ids = [&](int n) {
    std::vector<int32_t> out;
    for (const TokenLogprob& t : most_probable(logits, softmax, n, memory)) {
      out.push_back(t.id);
      EXPECT_EQ(t.logprob, softmax(logits[static_cast<size_t>(t.id)]));
    }
    return out;
  };
  EXPECT_EQ(ids(0), (std::vector<int32_t>{}));
  EXPECT_EQ(ids(1), (std::vector<int32_t>{1}));
  EXPECT_EQ(ids(3), (std::vector<int32_t>{1, 3, 2}));
  EXPECT_EQ(ids(20), (std::vector<int32_t>{1, 3, 2, 0, 6})) << "none that are impossible";
}

}  // namespace
}  // namespace quipu::sampling
