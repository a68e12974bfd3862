#include "engine/kv_caches.h"

#include <algorithm>

#include "base/checked.h"
#include "memory/plan.h"

namespace quipu {

namespace {

std::vector<kv::PrefixTree::Group> tree_groups(const std::vector<kv::KvLayout>& layouts,
                                               const std::vector<std::unique_ptr<kv::BlockPool>>& pools) {
  std::vector<kv::PrefixTree::Group> groups;
  for (size_t g = 0; g < layouts.size(); ++g) groups.push_back({pools[g].get(), layouts[g].shape().window});
  return groups;
}

std::vector<uint64_t> block_bytes_by_plan(const Model& model, KvTypes types) {
  memory::RuntimeOptions runtime;
  runtime.k_bytes_per_32 = kernels::kv_bytes_per_32(types.k);
  runtime.v_bytes_per_32 = kernels::kv_bytes_per_32(types.v);
  std::vector<uint64_t> bytes;
  for (const memory::KvGroupPlan& g : memory::plan(model.shape(1), runtime).kv_groups)
    bytes.push_back(g.block_bytes);
  return bytes;
}

}  // namespace

KvCache::KvCache(KvTypes its_types, std::vector<kv::KvLayout> its_layouts,
                 std::vector<std::unique_ptr<kv::BlockPool>> its_pools,
                 std::vector<uint64_t> its_planned_blocks)
    : types(its_types),
      layouts(std::move(its_layouts)),
      pools(std::move(its_pools)),
      planned_blocks(std::move(its_planned_blocks)),
      tree(tree_groups(layouts, pools)) {}

uint64_t KvCache::cached_bytes() const {
  GroupBlocks n{};
  for (size_t g = 0; g < n_groups(); ++g) n[g] = tree.n_unused(g);
  return bytes(n);
}

bool KvCache::has_windows() const {
  return std::any_of(layouts.begin(), layouts.end(),
                     [](const kv::KvLayout& l) { return l.shape().window > 0; });
}

uint64_t KvCache::bytes(const GroupBlocks& n) const {
  uint64_t sum = 0;
  for (size_t g = 0; g < n_groups(); ++g) sum += static_cast<uint64_t>(n[g]) * layouts[g].block_bytes();
  return sum;
}

uint64_t KvCache::committed_bytes() const {
  uint64_t sum = 0;
  for (const auto& pool : pools) sum += pool->committed() * pool->block_bytes();
  return sum;
}

uint64_t KvCache::planned_bytes() const {
  uint64_t sum = 0;
  for (size_t g = 0; g < n_groups(); ++g) sum += pools[g]->committed() * planned_blocks[g];
  return sum;
}

uint64_t KvCache::in_use_bytes() const {
  uint64_t sum = 0;
  for (const auto& pool : pools) sum += pool->in_use() * pool->block_bytes();
  return sum;
}

size_t KvCache::trim() {
  size_t sum = 0;
  for (const auto& pool : pools) sum += pool->trim();
  return sum;
}

KvCaches::KvCaches(const Model& model, int64_t n_tokens, int64_t n_sequences, memory::Ledger& ledger)
    : model_(model), n_tokens_(n_tokens), n_sequences_(n_sequences), ledger_(ledger) {}

Result<KvCache*> KvCaches::get(KvTypes types) {
  for (const auto& c : caches_)
    if (c->types == types) return c.get();
  // 4 TiB: more than any machine has, and a 32nd of a process's addresses, of which every type takes a part.
  constexpr uint64_t kMostAddresses = 1ull << 42;
  std::vector<kv::KvLayout> layouts = model_.kv_layouts(types);
  std::vector<std::unique_ptr<kv::BlockPool>> pools;
  const auto wanted = checked_mul<int64_t>(ceil_div<int64_t>(n_tokens_, kernels::kBlockTokens), n_sequences_);
  for (const kv::KvLayout& layout : layouts) {
    const uint64_t most =
        std::min(kMostAddresses / std::max<uint64_t>(layout.block_bytes(), 1), uint64_t{1} << 31);
    const uint64_t capacity = wanted ? std::min(static_cast<uint64_t>(*wanted), most) : most;
    QUIPU_ASSIGN(auto pool,
                 kv::BlockPool::create(layout.block_bytes(), static_cast<uint32_t>(capacity), ledger_));
    pools.push_back(std::move(pool));
  }
  caches_.push_back(std::make_unique<KvCache>(types, std::move(layouts), std::move(pools),
                                              block_bytes_by_plan(model_, types)));
  return caches_.back().get();
}

uint64_t KvCaches::committed_bytes() const {
  uint64_t sum = 0;
  for (const auto& c : caches_) sum += c->committed_bytes();
  return sum;
}

uint64_t KvCaches::planned_bytes() const {
  uint64_t sum = 0;
  for (const auto& c : caches_) sum += c->planned_bytes();
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
  for (const auto& c : caches_) bytes += c->trim();
  return bytes;
}

}  // namespace quipu
