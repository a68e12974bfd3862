// Measures what this machine can do at most: the denominators of every speed figure.
#pragma once

#include "base/thread_pool.h"

namespace quipu::kernels {

struct MachineLimits {
  double read_gbps = 0;  // linear read of memory far larger than the caches, all threads, 10^9 bytes/s
  double int8_gops =
      0;  // int8 multiply-add in the active instruction set's best form; a product and a sum are 2
  double f32_gflops = 0;  // float32 fma likewise
};

// About a second; the machine should be otherwise idle. Allocates and frees 256 MiB.
MachineLimits measure_limits(ThreadPool& pool);

}  // namespace quipu::kernels
