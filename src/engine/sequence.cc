#include "engine/sequence.h"

#include <algorithm>

#include "base/deadline.h"

namespace quipu {

Sequence::Sequence(uint64_t id, std::vector<Token> tokens, const RunLimits& limits)
    : submitted_(Clock::now()),
      id_(id),
      limits_(limits),
      deadline_(deadline_after(limits.since.value_or(submitted_), limits.max_seconds)) {
  cache_.tokens = std::move(tokens);
}

void CachedTokens::move_to(KvCache& cache, bool shares) {
  home = &cache;
  for (size_t g = 0; g < cache.n_groups(); ++g) tables[g] = kv::BlockTable(*cache.pools[g]);
  if (shares) path = kv::PrefixTree::Path(cache.tree);
}

void CachedTokens::stored(int64_t n) {
  n_stored += n;
  if (path.in_tree()) home->tree.publish(text());
  for (size_t g = 0; g < home->n_groups(); ++g) {
    const int64_t first = home->layouts[g].first_needed(n_stored);
    if (first == 0) continue;
    path.look_back_to(first);
    tables[g].drop_before(first);
  }
}

uint64_t CachedTokens::bytes() const {
  GroupBlocks n{};
  for (size_t g = 0; g < home->n_groups(); ++g) n[g] = tables[g].n_held();
  return home->bytes(n);
}

void CachedTokens::keep_first(int64_t n) {
  n_stored = std::min(n_stored, n);
  for (size_t g = 0; home != nullptr && g < home->n_groups(); ++g)
    if (home->layouts[g].first_needed(n_stored) < tables[g].n_dropped() * kernels::kBlockTokens) n_stored = 0;
  for (kv::BlockTable& table : tables) table.truncate(n_stored);
  path.back_to(n_stored / kernels::kBlockTokens);
}

void Sequence::start() {
  if (!started_) started_ = Clock::now();
}

void Sequence::pause() {
  cache_.keep_first(0);
  has_paused_ = true;
}

void Sequence::found(int64_t n) {
  if (!has_paused_) n_found_ += n;
}

}  // namespace quipu
