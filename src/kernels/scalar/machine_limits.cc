#include <cmath>
#include <cstring>

#include "kernels/machine_limits_impl.h"

namespace quipu::kernels::scalar {

namespace {

constexpr int kSums = 8;  // independent sums, more than the latency of an addition needs

void int8_rounds(int64_t n) {
  int sum[kSums] = {}, a = 3, b = 5;
  for (int64_t i = 0; i < n; ++i) {
    asm volatile("" : "+r"(a), "+r"(b));
    for (int& s : sum) s += a * b;
  }
  asm volatile("" ::"m"(sum));
}

void f32_rounds(int64_t n) {
  float sum[kSums] = {}, a = 1e-3f, b = 0.5f;
  for (int64_t i = 0; i < n; ++i) {
    asm volatile("" : "+x"(a), "+x"(b));
    for (float& s : sum) s = std::fma(a, b, s);
  }
  asm volatile("" ::"m"(sum));
}

uint64_t read(const std::byte* p, size_t n) {
  uint64_t sum[4] = {};
  for (size_t i = 0; i < n; i += 32) {
    uint64_t v[4];
    std::memcpy(v, p + i, 32);
    for (int j = 0; j < 4; ++j) sum[j] |= v[j];
  }
  return sum[0] | sum[1] | sum[2] | sum[3];
}

}  // namespace

const LimitsTable kLimits = {int8_rounds, f32_rounds, 2 * kSums, 2 * kSums, read};

}  // namespace quipu::kernels::scalar
