// The pool of KV blocks of one layer group: a reserved range of addresses, committed block by block, given
// back with MADV_DONTNEED.
//
// Reserving costs address space only (PROT_NONE). allocate() commits: the block's pages are made writable,
// zeroed and touched, and counted on the ledger (Category::kKv). Free blocks that are committed are used
// first, then low block numbers, so the committed part stays dense. Blocks are reference-counted so that
// sequences can share them; a block is writable by a caller only while its count is 1. Released blocks stay
// committed as "free" until trim() gives their pages back.
//
// Threads: one owner (the engine's thread); no locking inside.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/result.h"
#include "memory/ledger.h"

namespace quipu::kv {

using BlockId = uint32_t;
inline constexpr BlockId kNoBlock = ~BlockId{0};

class BlockPool {
 public:
  // block_bytes as from KvLayout; capacity in blocks bounds the reserved range. The ledger must outlive the
  // pool.
  static Result<std::unique_ptr<BlockPool>> create(size_t block_bytes, uint32_t capacity,
                                                   memory::Ledger& ledger);
  ~BlockPool();
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  Result<BlockId> allocate();  // count 1, all bytes zero; kOutOfMemory when the capacity is used up
  void retain(BlockId id);
  void release(BlockId id);
  uint32_t references(BlockId id) const;
  std::byte* data(BlockId id);

  // Gives the pages of free blocks back to the system; returns the bytes given back.
  size_t trim();

  size_t block_bytes() const;
  uint32_t capacity() const;
  uint32_t in_use() const;     // blocks with references
  uint32_t committed() const;  // blocks with pages: in use and free-but-not-trimmed

 private:
  struct Impl;
  explicit BlockPool(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace quipu::kv
