// The functions of ops.h per instruction set. Plain C types only: the files that implement this are compiled
// with wider instructions than the rest and must not bring inline functions of other headers into the
// program.
#pragma once

#include <cstdint>

namespace quipu::kernels {

struct OpsTable {
  void (*rms_norm)(const float* x, const float* w, float eps, int64_t n, float* y);
  void (*swiglu)(float* gate, const float* up, int64_t n);
  void (*add)(float* x, const float* y, int64_t n);
  void (*add_scaled)(float* x, const float* y, float scale, int64_t n);
  void (*scale)(float* x, float s, int64_t n);
  void (*rope_neighbours)(float* x, int n_heads, int64_t head_stride, int n_pairs, const float* cos_in,
                          const float* sin_in);
};

namespace scalar {
extern const OpsTable kOps;
}
namespace avx2 {
extern const OpsTable kOps;
}
namespace avx512 {
extern const OpsTable kOps;
}

}  // namespace quipu::kernels
