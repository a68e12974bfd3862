#include "memory/ledger.h"

namespace quipu::memory {

const char* category_name(Category c) {
  switch (c) {
    case Category::kWeights:
      return "weights";
    case Category::kProjector:
      return "projector";
    case Category::kKv:
      return "kv";
    case Category::kWorkspace:
      return "workspace";
    case Category::kOutput:
      return "output";
    case Category::kRuntime:
      return "runtime";
  }
  return "unknown";
}

uint64_t Ledger::total() const {
  uint64_t sum = 0;
  for (const auto& c : live_) sum += c.load(std::memory_order_relaxed);
  return sum;
}

}  // namespace quipu::memory
