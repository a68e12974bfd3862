#include <immintrin.h>

#include "kernels/machine_limits_impl.h"

namespace quipu::kernels::avx512 {

namespace {

#define QUIPU_UNROLL _Pragma("GCC unroll 16")

constexpr int kSums = 12;  // chains; a latency of 4 or 5 by two a cycle needs 8 to 10

void int8_rounds(int64_t n) {
  const __m512i w = _mm512_set1_epi8(3), a = _mm512_set1_epi8(5);
  __m512i sum[kSums] = {};
  for (int64_t i = 0; i < n; ++i) {
    QUIPU_UNROLL for (int j = 0; j < kSums;
                      ++j) asm volatile("vpdpbusd %1, %2, %0" : "+v"(sum[j]) : "v"(a), "v"(w));
  }
}

void f32_rounds(int64_t n) {
  const __m512 a = _mm512_set1_ps(1e-3f);
  __m512 sum[kSums] = {};
  for (int64_t i = 0; i < n; ++i) {
    QUIPU_UNROLL for (int j = 0; j < kSums;
                      ++j) asm volatile("vfmadd231ps %1, %1, %0" : "+v"(sum[j]) : "v"(a));
  }
}

uint64_t read(const std::byte* p, size_t n) {
  __m512i sum[4] = {};
  for (size_t i = 0; i < n; i += 256) {
    QUIPU_UNROLL for (int j = 0; j < 4; ++j) sum[j] =
        _mm512_or_si512(sum[j], _mm512_loadu_si512(p + i + 64 * j));
  }
  const __m512i all = _mm512_or_si512(_mm512_or_si512(sum[0], sum[1]), _mm512_or_si512(sum[2], sum[3]));
  return static_cast<uint64_t>(_mm512_reduce_or_epi64(all));
}

}  // namespace

const LimitsTable kLimits = {int8_rounds, f32_rounds, 128.0 * kSums, 32.0 * kSums, read};

}  // namespace quipu::kernels::avx512
