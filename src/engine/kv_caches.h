// The KV caches of an engine: one for each pair of types (of K and of V) that sequences ask for, made when
// the first one does. A cache has a pool of blocks for each group of layers that keep the same tokens.
// Sequences of different types never share a block.
//
// Threads: the engine's thread only, once the engine runs.
#pragma once

#include <array>
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

using GroupBlocks = std::array<int64_t, kv::kMaxGroups>;  // a number of blocks of each group

class KvCache {
 public:
  // As many pools as layouts.
  KvCache(KvTypes its_types, std::vector<kv::KvLayout> its_layouts,
          std::vector<std::unique_ptr<kv::BlockPool>> its_pools, std::vector<uint64_t> its_planned_blocks);

  const KvTypes types;
  const std::vector<kv::KvLayout> layouts;                  // [group]
  const std::vector<std::unique_ptr<kv::BlockPool>> pools;  // [group]
  const std::vector<uint64_t> planned_blocks;               // [group] bytes of a block by the plan
  kv::PrefixTree tree;                                      // what sequences share, and what they left

  size_t n_groups() const { return layouts.size(); }
  bool has_windows() const;
  uint64_t bytes(const GroupBlocks& n) const;
  uint64_t committed_bytes() const;
  uint64_t planned_bytes() const;  // of as many blocks as are committed
  uint64_t in_use_bytes() const;   // by anybody, also the tree
  uint64_t cached_bytes() const;   // what only the tree has, and could give
  size_t trim();                   // gives free blocks' pages back to the system; the bytes that were
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
  uint64_t planned_bytes() const;
  uint64_t in_use_bytes() const;
  uint64_t cached_bytes() const;
  uint64_t n_evicted() const;
  size_t trim();

 private:
  const Model& model_;
  const int64_t n_tokens_, n_sequences_;
  memory::Ledger& ledger_;
  std::vector<std::unique_ptr<KvCache>> caches_;
};

}  // namespace quipu
