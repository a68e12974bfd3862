// The blocks of one sequence, in order: block b holds tokens 32b .. 32b+31. The first ones may be gone, where
// nobody looks back so far.
//
// Threads: as BlockPool. The table releases its blocks when it is destroyed.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kv/block_pool.h"

namespace quipu::kv {

class BlockTable {
 public:
  BlockTable() = default;  // of no pool: only to be assigned to
  explicit BlockTable(BlockPool& pool) : pool_(&pool) {}
  ~BlockTable() { truncate(0); }
  BlockTable(BlockTable&& other) noexcept;
  BlockTable& operator=(BlockTable&& other) noexcept;

  // Makes room for n_tokens in all; on failure nothing has changed.
  Result<void> reserve(int64_t n_tokens);

  // Keeps the first n_tokens' blocks, releases the rest. Tokens after n_tokens within a kept block become
  // free to be overwritten.
  void truncate(int64_t n_tokens);

  // Releases the blocks that have nothing from this position on. Their pointers are null from now on.
  void drop_before(int64_t position);

  // The same, and where that is more than there are the table starts there: as if dropped.
  void begin_at(int64_t block);

  // Block `at`, which this table has or would have next, is from now on that one, which others have too.
  void share(int64_t at, BlockId id);

  // Before K and V are written from `position` on: if the block there is shared, this table gets a copy of
  // its own. Later blocks never are: only what has been written is shared. On failure nothing has changed.
  Result<void> make_writable(int64_t position);
  bool is_shared(int64_t position) const;  // whether that would take another block

  int64_t capacity_tokens() const;
  int64_t n_dropped() const { return n_dropped_; }
  int64_t n_held() const { return static_cast<int64_t>(ids_.size()) - n_dropped_; }
  std::span<const std::byte* const> blocks() const { return pointers_; }  // for kernels::AttentionSeq
  std::span<const BlockId> ids() const { return ids_; }                   // of dropped ones: no block's

 private:
  BlockPool* pool_ = nullptr;
  std::vector<BlockId> ids_;
  std::vector<const std::byte*> pointers_;
  int64_t n_dropped_ = 0;
};

}  // namespace quipu::kv
