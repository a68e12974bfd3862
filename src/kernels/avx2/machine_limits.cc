#include <immintrin.h>

#include "kernels/machine_limits_impl.h"

namespace quipu::kernels::avx2 {

namespace {

#define QUIPU_UNROLL _Pragma("GCC unroll 16")

// What the products with quantised weights consist of: eight times vpmaddubsw and a 16-bit sum, then vpmaddwd
// and a 32-bit sum. Written as assembly where a compiler would see that all products are the same.
constexpr int kSums = 4, kSteps = 8;

void int8_rounds(int64_t n) {
  __m256i w = _mm256_set1_epi8(3), a = _mm256_set1_epi8(5), one = _mm256_set1_epi16(1);
  __m256i total[kSums] = {};
  for (int64_t i = 0; i < n; ++i) {
    __m256i sum[kSums] = {};
    QUIPU_UNROLL for (int s = 0; s < kSteps; ++s) {
      QUIPU_UNROLL for (int j = 0; j < kSums; ++j) {
        __m256i product;
        asm volatile("vpmaddubsw %1, %2, %0" : "=x"(product) : "x"(a), "x"(w));
        sum[j] = _mm256_add_epi16(sum[j], product);
        asm("" : "+x"(sum[j]));
      }
    }
    QUIPU_UNROLL for (int j = 0; j < kSums; ++j) {
      total[j] = _mm256_add_epi32(total[j], _mm256_madd_epi16(sum[j], one));
      asm("" : "+x"(total[j]));
    }
  }
  asm volatile("" ::"x"(total[0]), "x"(total[1]), "x"(total[2]), "x"(total[3]));
}

constexpr int kFmas = 12;  // chains; a latency of 4 or 5 by two a cycle needs 8 to 10

void f32_rounds(int64_t n) {
  const __m256 a = _mm256_set1_ps(1e-3f);
  __m256 sum[kFmas] = {};
  for (int64_t i = 0; i < n; ++i) {
    QUIPU_UNROLL for (int j = 0; j < kFmas;
                      ++j) asm volatile("vfmadd231ps %1, %1, %0" : "+x"(sum[j]) : "x"(a));
  }
}

uint64_t read(const std::byte* p, size_t n) {
  __m256i sum[4] = {};
  for (size_t i = 0; i < n; i += 128) {
    QUIPU_UNROLL for (int j = 0; j < 4; ++j) sum[j] =
        _mm256_or_si256(sum[j], _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + i) + j));
  }
  const __m256i all = _mm256_or_si256(_mm256_or_si256(sum[0], sum[1]), _mm256_or_si256(sum[2], sum[3]));
  const __m128i half = _mm_or_si128(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
  return static_cast<uint64_t>(_mm_cvtsi128_si64(_mm_or_si128(half, _mm_unpackhi_epi64(half, half))));
}

}  // namespace

const LimitsTable kLimits = {int8_rounds, f32_rounds, 64.0 * kSums* kSteps, 16.0 * kFmas, read};

}  // namespace quipu::kernels::avx2
