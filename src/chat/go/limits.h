// How much a template may ask for. Templates come from strangers.
#pragma once

#include <cstdint>

namespace quipu::gotmpl {

struct Limits {
  uint64_t max_steps = 100'000'000;         // evaluated nodes; 64 bytes of text count as one
  uint64_t max_output_bytes = 64ull << 20;  // text produced, and any single string built on the way
  uint64_t max_template_bytes = 4ull << 20;
};

}  // namespace quipu::gotmpl
