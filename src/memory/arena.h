// One block of memory whose size comes from the plan, handed out front to back and touched before use, so
// that what was planned is what is measured from the first moment. Counted on the ledger for as long as it
// lives.
//
// Threads: take() from one thread; the memory may be used by any.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/result.h"
#include "memory/ledger.h"

namespace quipu::memory {

inline constexpr size_t kArenaAlignment = 64;  // a cache line, and a full AVX-512 register

class Arena {
 public:
  // Maps and touches `bytes` (rounded up to pages). The ledger must outlive the arena.
  static Result<Arena> create(size_t bytes, Category category, Ledger& ledger);
  Arena() = default;
  ~Arena();
  Arena(Arena&& other) noexcept;
  Arena& operator=(Arena&& other) noexcept;

  // The next `bytes`, aligned to kArenaAlignment; null when the arena is used up (a plan that was too small:
  // a bug that tests catch, not a state of a correct program).
  std::byte* take(size_t bytes);

  size_t size() const { return size_; }

 private:
  void unmap();
  std::byte* data_ = nullptr;
  size_t size_ = 0;  // mapped
  size_t used_ = 0;
  Category category_ = Category::kWorkspace;
  Ledger* ledger_ = nullptr;
};

}  // namespace quipu::memory
