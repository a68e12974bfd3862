#include "kernels/det_math.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace quipu::kernels::det {

namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

constexpr double kLn2Hi = 0x1.62e42fefa39efp-1;  // ln 2 = hi + lo to 2^-110
constexpr double kLn2Lo = 0x1.abc9e3b39803fp-56;
constexpr double kLog2E = 0x1.71547652b82fep+0;

constexpr double kHalfPi1 = 0x1.921fb54442d18p+0;  // pi/2 in three pieces
constexpr double kHalfPi2 = 0x1.1a62633145c07p-54;
constexpr double kHalfPi3 = -0x1.f1976b7ed8fbcp-110;
constexpr double kTwoOverPi = 0x1.45f306dc9c883p-1;

// Adding and subtracting 1.5 * 2^52 rounds to the nearest integer (ties to even) for |x| < 2^51.
constexpr double kRound = 0x1.8p52;
double round_to_integer(double x) { return (x + kRound) - kRound; }

// 2^n for -1022 <= n <= 1023.
double power_of_two(int64_t n) { return std::bit_cast<double>(static_cast<uint64_t>(n + 1023) << 52); }

constexpr double factorial(int n) { return n <= 1 ? 1.0 : n * factorial(n - 1); }

// An angle as quadrant * pi/2 + (hi + lo), |hi| <= pi/4 (and a rounding error more).
struct Reduced {
  unsigned quadrant;
  double hi, lo;
};

Reduced reduce(double x) {
  const double n = round_to_integer(x * kTwoOverPi);
  // x and n * kHalfPi1 are multiples of the same small power of two and nearly equal: for |x| <= 2^30 this is
  // exact.
  const double a = std::fma(-n, kHalfPi1, x);
  const double hi = std::fma(-n, kHalfPi2, a);
  // What rounding took from hi: the product's tail, then the error of a - product (either may be the larger).
  const double product = n * kHalfPi2;
  const double product_tail = std::fma(n, kHalfPi2, -product);
  const double difference = a - product;
  const double back = difference - a;
  const double difference_tail = (a - (difference - back)) - (product + back);
  const double lo = (difference - hi) + (difference_tail - product_tail) - n * kHalfPi3;
  return {static_cast<unsigned>(static_cast<int64_t>(n)) & 3u, hi, lo};
}

// Taylor series in z = r^2; the first term left out is below 2^-57 of the result at |r| = pi/4.
double sin_reduced(double r, double lo) {
  const double z = r * r;
  double p = 1.0 / factorial(17);
  p = std::fma(p, z, -1.0 / factorial(15));
  p = std::fma(p, z, 1.0 / factorial(13));
  p = std::fma(p, z, -1.0 / factorial(11));
  p = std::fma(p, z, 1.0 / factorial(9));
  p = std::fma(p, z, -1.0 / factorial(7));
  p = std::fma(p, z, 1.0 / factorial(5));
  p = std::fma(p, z, -1.0 / factorial(3));
  // sin(r + lo) = sin r + lo cos r
  const double tail = std::fma(r * z, p, lo * std::fma(z, -0.5, 1.0));
  return r + tail;
}

double cos_reduced(double r, double lo) {
  const double z = r * r;
  double p = 1.0 / factorial(18) * -1.0;
  p = std::fma(p, z, 1.0 / factorial(16));
  p = std::fma(p, z, -1.0 / factorial(14));
  p = std::fma(p, z, 1.0 / factorial(12));
  p = std::fma(p, z, -1.0 / factorial(10));
  p = std::fma(p, z, 1.0 / factorial(8));
  p = std::fma(p, z, -1.0 / factorial(6));
  p = std::fma(p, z, 1.0 / factorial(4));
  const double half = 0.5 * z;
  const double main = 1.0 - half;
  const double main_tail = (1.0 - main) - half;
  // cos(r + lo) = cos r - lo r
  return main + (main_tail + std::fma(z * z, p, -(r * lo)));
}

bool in_domain(double x) { return x >= -0x1p45 && x <= 0x1p45; }  // false for NaN

}  // namespace

double exp(double x) {
  if (!(x >= -708.3)) return x != x ? x : 0.0;  // below 2^-1022
  if (x > 709.79) return kInf;
  const double n = round_to_integer(x * kLog2E);
  const double a = std::fma(-n, kLn2Hi, x);
  const double r = std::fma(-n, kLn2Lo, a);
  double p = 1.0 / factorial(14);  // |r| <= 0.347: what is left out is below 2^-61
  for (int k = 13; k >= 2; --k) p = std::fma(p, r, 1.0 / factorial(k));
  // 1 + (r + r^2 p): the small part is rounded twice, the sum once.
  const double value = 1.0 + std::fma(r * r, p, r);
  const int64_t i = static_cast<int64_t>(n);
  return i > 1023 ? value * 0x1p1023 * power_of_two(i - 1023) : value * power_of_two(i);
}

double log(double x) {
  if (!(x > 0.0)) return x == 0.0 ? -kInf : kNaN;
  if (x == kInf) return x;
  int64_t e = 0;
  if (x < 0x1p-1022) {
    x *= 0x1p54;
    e = -54;
  }
  // x = 2^e * m with m in [sqrt(1/2), sqrt(2))
  uint64_t bits = std::bit_cast<uint64_t>(x);
  e += static_cast<int64_t>(bits >> 52) - 1023;
  bits = (bits & 0xfffffffffffffull) | 0x3ff0000000000000ull;
  double m = std::bit_cast<double>(bits);
  if (m > 0x1.6a09e667f3bcdp0) {
    m *= 0.5;
    ++e;
  }
  const double f = m - 1.0;
  // log(1+f) = 2 atanh(s), s = f/(2+f): 2s = f - s f, and s f = f^2/2 - s f^2/2.
  const double s = f / (2.0 + f);
  const double z = s * s;
  double p = 2.0 / 23.0;  // |s| <= 0.1716: what is left out is below 2^-60 of the result
  for (int k = 21; k >= 3; k -= 2) p = std::fma(p, z, 2.0 / k);
  const double half = 0.5 * f * f;
  const double n = static_cast<double>(e);
  const double small = std::fma(s, std::fma(z, p, half), n * kLn2Lo);
  return std::fma(n, kLn2Hi, f - (half - small));
}

double pow(double x, double y) {
  if (y == 0.0 || x == 1.0) return 1.0;
  return exp(y * log(x));
}

double sin(double x) {
  if (!in_domain(x)) return kNaN;
  const Reduced a = reduce(x);
  const double v = (a.quadrant & 1) != 0 ? cos_reduced(a.hi, a.lo) : sin_reduced(a.hi, a.lo);
  return (a.quadrant & 2) != 0 ? -v : v;
}

double cos(double x) {
  if (!in_domain(x)) return kNaN;
  const Reduced a = reduce(x);
  const double v = (a.quadrant & 1) != 0 ? sin_reduced(a.hi, a.lo) : cos_reduced(a.hi, a.lo);
  return ((a.quadrant + 1) & 2) != 0 ? -v : v;
}

}  // namespace quipu::kernels::det
