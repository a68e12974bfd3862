#include "engine/kv_caches.h"

#include <algorithm>

#include "base/checked.h"

namespace quipu {

void KvCache::begin_count() {
  ++n_counts_;
  n_counted_ = 0;
}

void KvCache::count(const kv::BlockTable& table) {
  for (const kv::BlockId id : table.ids()) {
    if (id >= counted_in_.size()) counted_in_.resize(id + 1);
    if (counted_in_[id] != n_counts_) ++n_counted_;
    counted_in_[id] = n_counts_;
  }
}

KvCaches::KvCaches(const Model& model, int64_t n_tokens, int64_t n_sequences, memory::Ledger& ledger)
    : model_(model), n_tokens_(n_tokens), n_sequences_(n_sequences), ledger_(ledger) {}

Result<KvCache*> KvCaches::get(KvTypes types) {
  for (const auto& c : caches_)
    if (c->types == types) return c.get();
  // 4 TiB: more than any machine has, and a 32nd of a process's addresses, of which every type takes a part.
  constexpr uint64_t kMostAddresses = 1ull << 42;
  const kv::KvLayout layout = model_.kv_layout(types);
  const uint64_t most =
      std::min(kMostAddresses / std::max<uint64_t>(layout.block_bytes(), 1), uint64_t{1} << 31);
  const auto wanted = checked_mul<int64_t>(ceil_div<int64_t>(n_tokens_, kernels::kBlockTokens), n_sequences_);
  const uint64_t capacity = wanted ? std::min(static_cast<uint64_t>(*wanted), most) : most;
  QUIPU_ASSIGN(auto blocks,
               kv::BlockPool::create(layout.block_bytes(), static_cast<uint32_t>(capacity), ledger_));
  caches_.push_back(std::make_unique<KvCache>(types, layout, std::move(blocks)));
  return caches_.back().get();
}

uint64_t KvCaches::committed_bytes() const {
  uint64_t sum = 0;
  for (const auto& c : caches_) sum += c->committed_bytes();
  return sum;
}

uint64_t KvCaches::in_use_bytes() const {
  uint64_t sum = 0;
  for (const auto& c : caches_) sum += c->in_use_bytes();
  return sum;
}

size_t KvCaches::trim() {
  size_t bytes = 0;
  for (const auto& c : caches_) bytes += c->blocks->trim();
  return bytes;
}

}  // namespace quipu
