// What to change when a plan does not fit: the nearest settings that would. Changes to the KV cache's type,
// to the sequences at once, to the context, to a file with fewer bits; several of them together where none is
// enough alone.
//
// Threads: pure functions.
#pragma once

#include <string>
#include <vector>

#include "memory/plan.h"

namespace quipu::memory {

// What the caller knows to offer, each list from near to far. Those that take no less than the plan are
// passed over.
struct Choices {
  struct Kv {
    std::string name;  // "q8_0"
    int64_t k_bytes_per_32 = 0, v_bytes_per_32 = 0;
  };
  struct File {
    std::string name;  // "Q4_K_M"
    uint64_t weights_bytes = 0;
  };
  std::vector<Kv> kv;
  std::vector<File> files;  // other files of the same model: sizes are estimates
};

struct Alternative {
  std::string change;  // "kv_cache_type=q8_0", "parallel=1, num_ctx=8192", "quantization=Q4_K_M"
  uint64_t total = 0;  // what is charged with that change
  Fit fits = Fit::kNo;
  bool other_file = false;  // it takes another file of the model, and the total is an estimate
};

// Nearest first; empty where the plan fits without. Each fits better than the plan does. Where nothing makes
// it fit there is one, what takes least, with kNo.
std::vector<Alternative> alternatives(const ModelShape& shape, const RuntimeOptions& options,
                                      const Choices& choices, uint64_t budget);

// "try kv_cache_type=q8_0, or num_ctx=4096": the first few for a sentence; empty where nothing fits.
std::string advice(const std::vector<Alternative>& alternatives);

// "What would fit" as lines below a table; empty where there are none.
std::string alternatives_table(const std::vector<Alternative>& alternatives);

}  // namespace quipu::memory
