// Which sequence gets which KV blocks, and what makes room for them.
#include <algorithm>
#include <limits>

#include "base/checked.h"
#include "engine/scheduler.h"

namespace quipu {

namespace {

int64_t blocks_for(int64_t n_tokens) { return ceil_div<int64_t>(n_tokens, kernels::kBlockTokens); }

// Blocks that a table of n_stored tokens takes until it has n_tokens.
int64_t more_blocks(const kv::BlockTable& table, int64_t n_stored, int64_t n_tokens) {
  const int64_t missing = blocks_for(n_tokens) - static_cast<int64_t>(table.ids().size());
  return std::max<int64_t>(missing, 0) + (table.is_shared(n_stored) ? 1 : 0);
}

// What is still to come of a running sequence's tokens.
int64_t promised(const Sequence& s) { return more_blocks(s.cache().table, s.cache().n_stored, s.n_tokens()); }

}  // namespace

// ---- starting

// The oldest first: who waits for memory is not overtaken by who needs less.
void Scheduler::start_paused() {
  while (!paused_.empty()) {
    Sequence& s = *paused_.front();
    if (start(s)) {
      running_.push_back(std::move(paused_.front()));
      paused_.erase(paused_.begin());
    } else if (running_.empty()) {
      end(s, StopReason::kMemory);
    } else {
      return;
    }
  }
}

// With what is cached of its tokens; false if there is no memory for the rest of them.
bool Scheduler::start(Sequence& s) {
  KvCache& home = *s.cache().home;
  const std::span<const Token> tokens = s.cache().tokens;
  // The last one is always computed, for its logits; for a sum all are.
  const int64_t most = s.samples() ? s.n_tokens() - 1 : 0;
  const KeptConversations::Match kept = kept_.find(home, tokens, most);
  const Sequence* runs = nullptr;
  int64_t n = kept.n_tokens;
  if (options_.keep_prefixes)
    for (const Owned& r : running_)
      if (r->cache().home == &home)
        if (const int64_t m = common_prefix(r->cache(), tokens, most); m > n) n = m, runs = r.get();
  kv::BlockTable table(*home.blocks);
  if (n > 0) table = runs != nullptr ? runs->cache().table.fork(n) : kept_.take(kept);

  // Kept conversations make room, for the place and for the blocks.
  while (static_cast<int64_t>(running_.size() + 1 + kept_.size()) > options_.n_parallel &&
         kept_.drop_oldest()) {
  }
  const int64_t needed = more_blocks(table, n, s.n_tokens());
  while (!can_promise(home, needed))
    if (!kept_.drop_oldest()) return false;
  if (!s.samples()) {
    s.set_hidden_sum(free_sums_.back());  // as many as may run
    free_sums_.pop_back();
    std::fill_n(s.hidden_sum(), model_.n_embd(), 0.0);
  }
  s.start(std::move(table), n);
  return true;
}

// Whether n_blocks could be had beside all that running sequences were promised when they started: their
// whole prompts.
bool Scheduler::can_promise(const KvCache& cache, int64_t n_blocks) const {
  int64_t here = n_blocks;
  uint64_t bytes = static_cast<uint64_t>(n_blocks) * cache.block_bytes();
  for (const Owned& s : running_) {
    const int64_t n = promised(*s);
    if (s->cache().home == &cache) here += n;
    bytes += static_cast<uint64_t>(n) * s->cache().home->block_bytes();
  }
  const uint64_t free = caches_.committed_bytes() - caches_.in_use_bytes();  // could be given back
  return has_addresses(cache, here) && bytes <= checked_add(free, room()).value_or(UINT64_MAX);
}

// ---- growing

bool Scheduler::has_addresses(const KvCache& cache, int64_t n_blocks) const {
  return n_blocks <= static_cast<int64_t>(cache.blocks->capacity() - cache.blocks->in_use());
}

// Bytes by which all caches together may grow now.
uint64_t Scheduler::room() const {
  const uint64_t committed = caches_.committed_bytes();
  const uint64_t budget = options_.kv_budget - std::min(options_.kv_budget, committed);
  return options_.kv_room ? std::min(budget, options_.kv_room()) : budget;
}

// Room for n_tokens in all, to be written from n_stored on. Kept conversations give way.
bool Scheduler::grow(CachedTokens& cache, int64_t n_tokens) {
  KvCache& home = *cache.home;
  bool trimmed = false;
  while (true) {
    const int64_t more = more_blocks(cache.table, cache.n_stored, n_tokens);
    if (more == 0) return true;
    const bool addresses = has_addresses(home, more);
    // Committed blocks that are free are taken first.
    const int64_t free = static_cast<int64_t>(home.blocks->committed()) - home.blocks->in_use();
    const auto bytes = static_cast<uint64_t>(std::max<int64_t>(more - free, 0)) * home.block_bytes();
    if (addresses && bytes <= room() && cache.table.make_writable(cache.n_stored) &&
        cache.table.reserve(n_tokens))
      return true;
    // The system can give what is free already where it is needed, and what is free in one cache another can
    // use. Once: an attempt that fails leaves free blocks, too.
    if (addresses && !trimmed && caches_.trim() > 0) {
      trimmed = true;
      continue;
    }
    if (!kept_.drop_oldest()) return false;
    trimmed = false;
  }
}

void Scheduler::reserve(std::vector<Slice>& slices) {
  std::sort(slices.begin(), slices.end(),
            [](const Slice& a, const Slice& b) { return a.sequence->id() < b.sequence->id(); });
  const auto without = [&](const Sequence* s) {
    std::erase_if(slices, [s](const Slice& x) { return x.sequence == s; });
  };
  for (size_t i = 0; i < slices.size();) {
    Sequence* s = slices[i].sequence;
    if (grow(s->cache(), s->cache().n_stored + slices[i].n_rows)) {
      ++i;
      continue;
    }
    if (running_.size() == 1) {
      without(s);
      return end(*s, StopReason::kMemory);
    }
    Sequence* youngest = running_.front().get();
    for (const Owned& r : running_)
      if (r->id() > youngest->id()) youngest = r.get();
    without(youngest);
    pause(*youngest);
    if (youngest == s) return;  // the oldest have been served; it was the last
  }
}

// ---- giving back

std::optional<Clock::time_point> Scheduler::next_trim() const {
  if (!idle_trim_) return std::nullopt;
  std::optional<Clock::time_point> oldest = kept_.oldest_use();
  if (idle() && caches_.committed_bytes() > caches_.in_use_bytes())
    oldest = std::min(oldest.value_or(last_use_), last_use_);
  if (!oldest) return std::nullopt;
  return *oldest + *idle_trim_;
}

void Scheduler::trim(Clock::time_point now) {
  const auto next = next_trim();
  if (!next || now < *next) return;
  if (kept_.drop_unused_since(now - *idle_trim_) || idle()) caches_.trim();
  if (idle()) last_use_ = now;  // once, even if the system would not take it
  count_use();
}

Result<void> Scheduler::fill(int64_t tokens, int64_t sequences) {
  filler_.clear();
  Result<void> result;
  QUIPU_ASSIGN(KvCache * home, caches_.get(options_.kv_types));
  for (int64_t i = 0; i < sequences && tokens > 0; ++i) {
    filler_.emplace_back().move_to(*home);
    if (grow(filler_.back(), tokens)) continue;
    filler_.clear();
    result =
        error(Code::kOutOfMemory, "there is no memory for the KV cache of {} x {} tokens", sequences, tokens);
    break;
  }
  if (filler_.empty()) {
    kept_.clear();
    caches_.trim();
  }
  count_use();
  return result;
}

// ---- what there is

void Scheduler::count_use() {
  // Blocks of running sequences, those that are shared once. What only kept conversations hold is cached.
  uint64_t running = 0;
  for (const auto& cache : caches_.all()) {
    cache->begin_count();
    for (const Owned& s : running_)
      if (s->cache().home == cache.get()) cache->count(s->cache().table);
    for (const CachedTokens& c : filler_)
      if (c.home == cache.get()) cache->count(c.table);
    running += cache->counted_bytes();
  }
  in_use_.store(running, std::memory_order_relaxed);
  cached_.store(caches_.in_use_bytes() - running, std::memory_order_relaxed);
  committed_.store(caches_.committed_bytes(), std::memory_order_relaxed);
}

Engine::KvUse Scheduler::use() const {
  return {in_use_.load(std::memory_order_relaxed), cached_.load(std::memory_order_relaxed),
          committed_.load(std::memory_order_relaxed)};
}

}  // namespace quipu
