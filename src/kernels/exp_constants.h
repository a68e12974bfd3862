// The constants of the float exp that every instruction set evaluates in the same order:
//   t = fma(x, log2e, round)          t's low bits: n, the nearest integer to x / ln 2
//   n = t - round;  r = fma(-n, ln2_hi, x);  r = fma(-n, ln2_lo, r)
//   p = fma chain c6, c5, .. c2, 1, 1 in r
//   result = p with n added to its exponent; 0 for x < kExpLowest and for NaN
// About 0.6 ulp. exp(0) is exactly 1.
#pragma once

#include <cstdint>

namespace quipu::kernels {

inline constexpr float kExpLog2E = 0x1.715476p+0f;
inline constexpr float kExpRound = 0x1.8p23f;
inline constexpr float kExpLn2Hi = 0x1.62e43p-1f;
inline constexpr float kExpLn2Lo = -0x1.05c61p-29f;
// Minimax for (e^r - 1 - r) / r^2 on |r| <= 0.34665, rounded to float one after the other: error of e^r
// 2^-27.
inline constexpr float kExpC2 = 0x1.000006p-1f;
inline constexpr float kExpC3 = 0x1.55543p-3f;
inline constexpr float kExpC4 = 0x1.554606p-5f;
inline constexpr float kExpC5 = 0x1.12763cp-7f;
inline constexpr float kExpC6 = 0x1.7aaddp-10f;
inline constexpr float kExpLowest = -0x1.5d589ep+6f;  // -87.33654: the result is a normal number down to here
inline constexpr float kExpHighest = 0x1.62e42ep+6f;  // 88.72283: above it the result is infinite
inline constexpr int32_t kExpMantissaBits = 23;

}  // namespace quipu::kernels
