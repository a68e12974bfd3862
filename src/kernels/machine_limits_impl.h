// The loops behind machine_limits.h per instruction set; plain C types only (see matmul_impl.h).
#pragma once

#include <cstddef>
#include <cstdint>

namespace quipu::kernels {

struct LimitsTable {
  // Run n rounds from registers; the constants count a product and a sum as 2 operations.
  void (*int8_rounds)(int64_t n);
  void (*f32_rounds)(int64_t n);
  double int8_ops_per_round;
  double f32_ops_per_round;
  // Reads n bytes (a multiple of 256) in order; the result depends on all of them.
  uint64_t (*read)(const std::byte* p, size_t n);
};

namespace scalar {
extern const LimitsTable kLimits;
}
namespace avx2 {
extern const LimitsTable kLimits;
}
namespace avx512 {
extern const LimitsTable kLimits;
}

}  // namespace quipu::kernels
