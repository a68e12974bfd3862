#include "engine/kv_caches.h"

#include <algorithm>

#include "base/checked.h"

namespace quipu {

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

uint64_t KvCaches::cached_bytes() const {
  uint64_t sum = 0;
  for (const auto& c : caches_) sum += c->cached_bytes();
  return sum;
}

uint64_t KvCaches::n_evicted() const {
  uint64_t sum = 0;
  for (const auto& c : caches_) sum += c->tree.n_evicted();
  return sum;
}

bool KvCaches::evict_oldest() {
  KvCache* of = nullptr;
  for (const auto& c : caches_)
    if (const auto t = c->tree.oldest_use(); t && (of == nullptr || *t < *of->tree.oldest_use()))
      of = c.get();
  return of != nullptr && of->tree.evict_oldest();
}

std::optional<kv::PrefixTree::Clock::time_point> KvCaches::oldest_use() const {
  std::optional<kv::PrefixTree::Clock::time_point> oldest;
  for (const auto& c : caches_)
    if (const auto t = c->tree.oldest_use(); t && (!oldest || *t < *oldest)) oldest = t;
  return oldest;
}

size_t KvCaches::trim() {
  size_t bytes = 0;
  for (const auto& c : caches_) bytes += c->blocks->trim();
  return bytes;
}

}  // namespace quipu
