// The KV caches of an engine: one pool of blocks for each pair of types (of K and of V) that sequences ask
// for, made when the first one does. Sequences of different types never share a block.
//
// Threads: the engine's thread only, once the engine runs.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "kv/block_pool.h"
#include "kv/block_table.h"
#include "kv/prefix_tree.h"
#include "memory/ledger.h"
#include "model/model.h"

namespace quipu {

class KvCache {
 public:
  KvCache(KvTypes its_types, const kv::KvLayout& its_layout, std::unique_ptr<kv::BlockPool> pool)
      : types(its_types), layout(its_layout), blocks(std::move(pool)), tree(*blocks) {}

  const KvTypes types;
  const kv::KvLayout layout;
  const std::unique_ptr<kv::BlockPool> blocks;
  kv::PrefixTree tree;  // what sequences share, and what they left

  uint64_t block_bytes() const { return layout.block_bytes(); }
  uint64_t committed_bytes() const { return blocks->committed() * block_bytes(); }
  uint64_t in_use_bytes() const { return blocks->in_use() * block_bytes(); }  // by anybody, also the tree
  // What only the tree has, and could give.
  uint64_t cached_bytes() const { return static_cast<uint64_t>(tree.n_unused()) * block_bytes(); }
};

class KvCaches {
 public:
  // Each cache has addresses for `n_sequences` of `n_tokens`; pages come with use. Model and ledger must
  // outlive it.
  KvCaches(const Model& model, int64_t n_tokens, int64_t n_sequences, memory::Ledger& ledger);

  Result<KvCache*> get(KvTypes types);  // the same one as long as this lives
  std::span<const std::unique_ptr<KvCache>> all() const { return caches_; }

  // Drops the cached block that was used longest ago; false: there is none.
  bool evict_oldest();
  std::optional<kv::PrefixTree::Clock::time_point> oldest_use() const;

  // Of all of them together.
  uint64_t committed_bytes() const;
  uint64_t in_use_bytes() const;
  uint64_t cached_bytes() const;
  uint64_t n_evicted() const;
  size_t trim();  // gives free blocks' pages back to the system; the bytes that were

 private:
  const Model& model_;
  const int64_t n_tokens_, n_sequences_;
  memory::Ledger& ledger_;
  std::vector<std::unique_ptr<KvCache>> caches_;
};

}  // namespace quipu
