// Live bytes by category. Every allocation above 64 KiB in a runner is on it; what is measured and not on it
// is shown as "unexplained".
//
// Threads: safe from any thread (atomic counters).
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

namespace quipu::memory {

enum class Category : uint8_t { kWeights, kProjector, kKv, kWorkspace, kOutput, kRuntime };
inline constexpr int kCategories = 6;
const char* category_name(Category c);  // "weights", "projector", "kv", ...

class Ledger {
 public:
  void add(Category c, uint64_t bytes) { at(c).fetch_add(bytes, std::memory_order_relaxed); }
  void subtract(Category c, uint64_t bytes) { at(c).fetch_sub(bytes, std::memory_order_relaxed); }
  uint64_t bytes(Category c) const { return live_[static_cast<int>(c)].load(std::memory_order_relaxed); }
  uint64_t total() const;

 private:
  std::atomic<uint64_t>& at(Category c) { return live_[static_cast<int>(c)]; }
  std::array<std::atomic<uint64_t>, kCategories> live_{};
};

}  // namespace quipu::memory
