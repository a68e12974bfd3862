// Elementary functions with the same bits on every machine, compiler and C library: only additions, products,
// fma, square roots and exact rounding, in a fixed order. Double precision; results that are rounded to float
// afterwards are practically always the correctly rounded ones.
//
// Threads: pure functions.
#pragma once

namespace quipu::kernels::det {

// Error below 1 ulp. Overflow gives infinity; results below 2^-1022 are 0.
double exp(double x);

// Error below 1 ulp. log(0) = -infinity, log(negative) = NaN.
double log(double x);

// x^y for x >= 0 as exp(y log x): relative error below (2 + |y log x|) * 2^-52; negative x gives NaN.
double pow(double x, double y);

// Error below 1 ulp for |x| <= 2^30, absolute error below 2^-50 up to 2^45 (positions of a context times a
// frequency of at most 1 stay far below); NaN beyond.
double sin(double x);
double cos(double x);

}  // namespace quipu::kernels::det
