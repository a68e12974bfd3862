#include "kernels/det_math.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>

namespace quipu::kernels {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

// Distance from the exact value in units of the last place of `value`.
double ulps(double value, long double exact) {
  const double magnitude = std::max(std::fabs(static_cast<double>(exact)), 0x1p-1021);
  const double ulp = std::ldexp(1.0, std::ilogb(magnitude) - 52);
  return static_cast<double>(std::fabs(static_cast<long double>(value) - exact) / ulp);
}

TEST(DetMath, ExpIsWithinOneUlp) {
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> wide(-708, 709.7), narrow(-1, 1);
  double worst = 0;
  for (int i = 0; i < 200000; ++i) {
    const double x = i % 2 == 0 ? wide(random) : narrow(random);
    worst = std::max(worst, ulps(det::exp(x), std::exp(static_cast<long double>(x))));
  }
  EXPECT_LT(worst, 1.0);
}

TEST(DetMath, ExpAtTheEdges) {
  EXPECT_EQ(det::exp(0.0), 1.0);
  EXPECT_EQ(det::exp(-0.0), 1.0);
  EXPECT_EQ(det::exp(kInf), kInf);
  EXPECT_EQ(det::exp(-kInf), 0.0);
  EXPECT_EQ(det::exp(1e300), kInf);
  EXPECT_EQ(det::exp(-1e300), 0.0);
  EXPECT_TRUE(std::isnan(det::exp(std::nan(""))));
  EXPECT_TRUE(std::isfinite(det::exp(709.78)));
}

TEST(DetMath, LogIsWithinOneUlp) {
  std::mt19937_64 random(2);
  std::uniform_real_distribution<double> exponent(-1074, 1023), near_one(0.5, 2.0);
  double worst = 0;
  for (int i = 0; i < 200000; ++i) {
    const double x = i % 2 == 0 ? std::exp2(exponent(random)) : near_one(random);
    if (x == 1.0) continue;
    worst = std::max(worst, ulps(det::log(x), std::log(static_cast<long double>(x))));
  }
  EXPECT_LT(worst, 1.0);
  EXPECT_EQ(det::log(1.0), 0.0);
  EXPECT_EQ(det::log(0.0), -kInf);
  EXPECT_EQ(det::log(kInf), kInf);
  EXPECT_TRUE(std::isnan(det::log(-1.0)));
  EXPECT_TRUE(std::isnan(det::log(std::nan(""))));
}

TEST(DetMath, PowGivesRopeFrequenciesAsCorrectlyRoundedFloats) {
  int different = 0;
  for (double base : {10000.0, 100000.0, 500000.0, 1000000.0, 150000.0, 8000000.0}) {
    for (int n = 2; n <= 512; n += 2) {
      const float y = -2.0f / static_cast<float>(n);
      const float exact =
          static_cast<float>(std::pow(static_cast<long double>(base), static_cast<long double>(y)));
      different += static_cast<float>(det::pow(base, y)) != exact;
    }
  }
  EXPECT_EQ(different, 0);
}

TEST(DetMath, PowIsWithinItsBound) {
  std::mt19937_64 random(3);
  std::uniform_real_distribution<double> log_x(-40, 40), y(-8, 8);
  for (int i = 0; i < 100000; ++i) {
    const double x = std::exp(log_x(random)), e = y(random);
    const long double exact = std::pow(static_cast<long double>(x), static_cast<long double>(e));
    const double bound = (2 + std::fabs(e * std::log(x))) * 0x1p-52;
    ASSERT_LT(std::fabs(static_cast<double>((det::pow(x, e) - exact) / exact)), bound) << x << " ^ " << e;
  }
  EXPECT_EQ(det::pow(5.0, 0.0), 1.0);
  EXPECT_EQ(det::pow(0.0, 2.0), 0.0);
  EXPECT_EQ(det::pow(0.0, -2.0), kInf);
  EXPECT_TRUE(std::isnan(det::pow(-2.0, 3.0)));
}

TEST(DetMath, SinAndCosAreWithinOneUlp) {
  std::mt19937_64 random(4);
  double worst = 0;
  for (double range : {1.0, 10.0, 1e4, 16777216.0, 1e9}) {
    std::uniform_real_distribution<double> angle(-range, range);
    for (int i = 0; i < 50000; ++i) {
      const double x = i % 2 == 0 ? angle(random) : static_cast<double>(static_cast<float>(angle(random)));
      worst = std::max(worst, ulps(det::sin(x), std::sin(static_cast<long double>(x))));
      worst = std::max(worst, ulps(det::cos(x), std::cos(static_cast<long double>(x))));
    }
  }
  EXPECT_LT(worst, 1.0);
}

// Integers are positions: their distance to a multiple of pi/2 can be tiny.
TEST(DetMath, SinAndCosOfPositions) {
  double worst = 0;
  for (int64_t p = 0; p < (int64_t{1} << 25); p += p < 100000 ? 1 : 997) {
    const double x = static_cast<double>(p);
    worst = std::max(worst, ulps(det::sin(x), std::sin(static_cast<long double>(x))));
    worst = std::max(worst, ulps(det::cos(x), std::cos(static_cast<long double>(x))));
  }
  for (double x : {355.0, 103993.0 / 2, 710.0, 11.0, 22.0, 16367173.0 * 0x1p20, 0x1p24, 0x1p30}) {
    worst = std::max(worst, ulps(det::sin(x), std::sin(static_cast<long double>(x))));
    worst = std::max(worst, ulps(det::cos(x), std::cos(static_cast<long double>(x))));
  }
  EXPECT_LT(worst, 1.0);
}

TEST(DetMath, SinAndCosAtTheEdges) {
  EXPECT_EQ(det::sin(0.0), 0.0);
  EXPECT_EQ(det::cos(0.0), 1.0);
  EXPECT_NEAR(det::sin(0x1p45), static_cast<double>(std::sin(0x1p45L)), 0x1p-50);
  for (double x : {kInf, -kInf, std::nan(""), 1e300, -1e300}) {
    EXPECT_TRUE(std::isnan(det::sin(x)));
    EXPECT_TRUE(std::isnan(det::cos(x)));
  }
}

// The same bits everywhere: a hash over many results, taken once.
TEST(DetMath, GoldenBits) {
  uint64_t hash = 0xcbf29ce484222325ull;
  const auto take = [&](double v) { hash = (hash ^ std::bit_cast<uint64_t>(v)) * 0x100000001b3ull; };
  uint64_t state = 12345;
  for (int i = 0; i < 100000; ++i) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    const double unit = static_cast<double>(state >> 11) * 0x1p-53;
    take(det::exp((unit - 0.5) * 1400));
    take(det::log(unit * 1000 + 1e-300));
    take(det::pow(unit * 1e6, -unit));
    take(det::sin(unit * 0x1p24));
    take(det::cos(unit * 0x1p31));
  }
  EXPECT_EQ(hash, 2191515677639951988ull);
}

}  // namespace
}  // namespace quipu::kernels
