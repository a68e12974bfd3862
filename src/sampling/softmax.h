// exp and the softmax sums of sampling: the same bits on every machine, and quick enough for a whole
// vocabulary.
//
// Threads: pure functions.
#pragma once

#include <bit>
#include <cstdint>
#include <span>

#include "sampling/candidates.h"

namespace quipu::sampling {

// e^x, x <= 0, as a float: 0 where that is below half the smallest one (and for NaN). Before its one rounding
// to float the relative error is below 2^-46. Products and sums alone, without fma: that would be a call into
// the C library on the processors this is compiled for, and twenty times slower.
inline float exp_float(float x) {
  constexpr double kLog2E = 0x1.71547652b82fep+0;
  constexpr double kLn2Hi = 0x1.62e42feep-1;  // 32 bits: its product with n is exact
  constexpr double kLn2Lo = 0x1.a39ef35793c76p-33;
  constexpr double kRound =
      0x1.8p52;  // adding it rounds to the nearest integer, which is then in the low bits
  if (!(x > -104.0f)) return 0.0f;
  const double v = x;
  const double t = v * kLog2E + kRound;
  const double n = t - kRound;
  const double r = (v - n * kLn2Hi) - n * kLn2Lo;  // |r| <= 0.3466
  // Taylor: what is left out is below r^12 / 12! < 2^-47.
  double p = 1.0 / 39916800;
  p = p * r + 1.0 / 3628800;
  p = p * r + 1.0 / 362880;
  p = p * r + 1.0 / 40320;
  p = p * r + 1.0 / 5040;
  p = p * r + 1.0 / 720;
  p = p * r + 1.0 / 120;
  p = p * r + 1.0 / 24;
  p = p * r + 1.0 / 6;
  p = p * r + 0.5;
  p = p * r + 1.0;
  p = p * r + 1.0;
  const uint64_t exponent = (std::bit_cast<uint64_t>(t) + 1023) << 52;  // n + 1023 >= 872
  return static_cast<float>(p * std::bit_cast<double>(exponent));
}

// The largest logit and the sum over all candidates, in their order, of exp_float(logit - max).
struct SoftmaxSum {
  float max;
  double sum;
  float weight(float logit) const { return exp_float(logit - max); }
  float probability(float logit) const { return static_cast<float>(weight(logit) / sum); }
};
SoftmaxSum softmax_sum(std::span<const Candidate> candidates);

}  // namespace quipu::sampling
