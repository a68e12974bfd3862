// The KV caches of an engine: one pool of blocks for each pair of types (of K and of V) that sequences ask
// for, made when the first one does. Sequences of different types never share a block.
//
// Threads: the engine's thread only, once the engine runs.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "kv/block_pool.h"
#include "kv/block_table.h"
#include "memory/ledger.h"
#include "model/model.h"

namespace quipu {

class KvCache {
 public:
  KvCache(KvTypes its_types, const kv::KvLayout& its_layout, std::unique_ptr<kv::BlockPool> pool)
      : types(its_types), layout(its_layout), blocks(std::move(pool)) {}

  const KvTypes types;
  const kv::KvLayout layout;
  const std::unique_ptr<kv::BlockPool> blocks;

  uint64_t block_bytes() const { return layout.block_bytes(); }
  uint64_t committed_bytes() const { return blocks->committed() * block_bytes(); }
  uint64_t in_use_bytes() const { return blocks->in_use() * block_bytes(); }

  // How many blocks some tables hold together, those that they share counted once.
  void begin_count();
  void count(const kv::BlockTable& table);
  uint64_t counted_bytes() const { return n_counted_ * block_bytes(); }

 private:
  std::vector<uint32_t> counted_in_;  // [block]: the count that it was part of last
  uint32_t n_counts_ = 0;
  uint64_t n_counted_ = 0;
};

class KvCaches {
 public:
  // Each cache has addresses for `n_sequences` of `n_tokens`; pages come with use. Model and ledger must
  // outlive it.
  KvCaches(const Model& model, int64_t n_tokens, int64_t n_sequences, memory::Ledger& ledger);

  Result<KvCache*> get(KvTypes types);  // the same one as long as this lives
  std::span<const std::unique_ptr<KvCache>> all() const { return caches_; }

  // Of all of them together.
  uint64_t committed_bytes() const;
  uint64_t in_use_bytes() const;
  size_t trim();  // gives free blocks' pages back to the system; the bytes that were

 private:
  const Model& model_;
  const int64_t n_tokens_, n_sequences_;
  memory::Ledger& ledger_;
  std::vector<std::unique_ptr<KvCache>> caches_;
};

}  // namespace quipu
