// A model for tests of plans.
#pragma once

#include "memory/plan.h"

namespace quipu::memory::test {

// Like Granite 2.5 B: 40 layers, 8 KV heads of 64 values; 80 KiB a token in f16.
inline ModelShape granite(uint64_t weights_bytes, uint64_t workspace_bytes) {
  ModelShape s;
  s.weights_bytes = weights_bytes;
  s.workspace_bytes = workspace_bytes;
  s.max_rows = 256;
  s.n_threads = 2;
  s.n_vocab = 49152;
  s.n_ctx_train = 131072;
  s.groups.push_back({.n_layers = 40, .n_kv_heads = 8, .head_dim_k = 64, .head_dim_v = 64});
  return s;
}

inline RuntimeOptions options(int64_t n_ctx, int64_t parallel) {
  RuntimeOptions o;
  o.n_ctx = n_ctx;
  o.n_parallel = parallel;
  return o;
}

}  // namespace quipu::memory::test
