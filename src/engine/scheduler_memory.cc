// Which sequence gets which KV blocks, and what makes room for them.
#include <algorithm>
#include <utility>

#include "base/checked.h"
#include "engine/scheduler.h"

namespace quipu {

namespace {

int64_t blocks_for(int64_t n_tokens) { return ceil_div<int64_t>(n_tokens, kernels::kBlockTokens); }

// Blocks of each group that a sequence takes until it has n_tokens, if it keeps all it takes.
GroupBlocks more_blocks(const CachedTokens& c, int64_t n_tokens) {
  GroupBlocks n{};
  for (size_t g = 0; g < c.home->n_groups(); ++g) {
    const kv::BlockTable& table = c.tables[g];
    const int64_t missing = blocks_for(n_tokens) - static_cast<int64_t>(table.ids().size());
    n[g] = std::max<int64_t>(missing, 0) + (table.is_shared(c.n_stored) ? 1 : 0);
  }
  return n;
}

// What is still to come of a running sequence's tokens. Where there is a window, what it never has at once
// does not count.
GroupBlocks promised(const CachedTokens& c) {
  const auto n_tokens = static_cast<int64_t>(c.tokens.size());
  GroupBlocks n = more_blocks(c, n_tokens);
  for (size_t g = 0; g < c.home->n_groups(); ++g) {
    const int64_t at_once = c.home->layouts[g].n_blocks(n_tokens) + blocks_for(kMaxBatchRows);
    n[g] = std::min(n[g], std::max<int64_t>(at_once - c.tables[g].n_held(), 0));
  }
  return n;
}

bool take_blocks(CachedTokens& c, int64_t n_tokens) {
  for (size_t g = 0; g < c.home->n_groups(); ++g)
    if (!c.tables[g].make_writable(c.n_stored) || !c.tables[g].reserve(n_tokens)) return false;
  return true;
}

// How many of its tokens it need not compute. The last one always is, for its logits.
int64_t adopt(CachedTokens& c) {
  const auto most = static_cast<int64_t>(c.tokens.size()) - 1;
  if (!c.path.in_tree() || c.n_stored >= most) return 0;
  const int64_t n = c.home->tree.adopt(c.text(), most);
  return n - std::exchange(c.n_stored, n);
}

}  // namespace

// ---- other models

namespace {

// While other models have the memory. To look costs a tenth of a millisecond; to ask costs others what they
// have cached.
constexpr std::chrono::milliseconds kLookAgain{50}, kAskAgain{500};

}  // namespace

std::optional<Clock::time_point> Scheduler::next_try() const {
  if (!gave_way_ || !running_.empty() || paused_.empty()) return std::nullopt;
  return next_try_;
}

bool Scheduler::ask(uint64_t more_bytes) {
  if (!options_.kv_ask || (gave_way_ && Clock::now() < next_ask_)) return false;
  const bool asked = options_.kv_ask(more_bytes);
  next_ask_ = Clock::now() + kAskAgain;
  return asked;
}

// Nothing runs here for want of so many bytes in all. False: it is no use to wait for them.
bool Scheduler::give_way(uint64_t bytes) {
  if (!options_.kv_give_way || !options_.kv_give_way(bytes)) return false;
  gave_way_ = true;
  next_try_ = Clock::now() + kLookAgain;
  return true;
}

bool Scheduler::come_back() {
  if (gave_way_ && options_.kv_back()) gave_way_ = false;
  return !gave_way_;
}

// ---- starting

// The oldest first: who waits for memory is not overtaken by who needs less.
void Scheduler::start_paused() {
  const Sequence* asked = nullptr;
  while (!paused_.empty()) {
    Sequence& s = *paused_.front();
    if (come_back() && start(s)) {
      running_.push_back(std::move(paused_.front()));
      paused_.erase(paused_.begin());
    } else if (running_.empty()) {
      const uint64_t all = s.cache().home->bytes(promised(s.cache()));
      const uint64_t own = caches_.committed_bytes() - caches_.in_use_bytes() + caches_.cached_bytes();
      if (std::exchange(asked, &s) != &s && ask(all - std::min(all, own))) continue;
      if (give_way(all)) return;
      end(s, StopReason::kMemory);
    } else {
      return;
    }
  }
}

// With what is cached of its tokens; false if there is no memory for the rest of them.
bool Scheduler::start(Sequence& s) {
  CachedTokens& c = s.cache();
  const int64_t n_found = adopt(c);
  if (!can_promise(*c.home, promised(c))) {
    c.keep_first(0);
    return false;
  }
  if (!s.samples()) {
    s.set_hidden_sum(free_sums_.back());  // as many as may run
    free_sums_.pop_back();
    std::fill_n(s.hidden_sum(), model_.n_embd(), 0.0);
  }
  s.found(n_found);
  s.start();
  return true;
}

// What others have computed since the last step.
void Scheduler::catch_up(const KvCache& home) {
  for (const Owned& s : running_)
    if (s->cache().home == &home) s->found(adopt(s->cache()));
}

// Whether n_blocks could be had beside all that running sequences were promised when they started: their
// whole prompts. What is cached goes where it is needed.
bool Scheduler::can_promise(const KvCache& cache, const GroupBlocks& n_blocks) const {
  GroupBlocks here = n_blocks;
  uint64_t bytes = cache.bytes(n_blocks);
  for (const Owned& s : running_) {
    const GroupBlocks n = promised(s->cache());
    for (size_t g = 0; s->cache().home == &cache && g < n.size(); ++g) here[g] += n[g];
    bytes += s->cache().home->bytes(n);
  }
  for (size_t g = 0; g < cache.n_groups(); ++g) here[g] -= cache.tree.n_unused(g);
  const uint64_t free = caches_.committed_bytes() - caches_.in_use_bytes() + caches_.cached_bytes();
  return has_addresses(cache, here) && bytes <= checked_add(free, room()).value_or(UINT64_MAX);
}

// ---- growing

bool Scheduler::has_addresses(const KvCache& cache, const GroupBlocks& n) const {
  for (size_t g = 0; g < cache.n_groups(); ++g)
    if (n[g] > static_cast<int64_t>(cache.pools[g]->capacity() - cache.pools[g]->in_use())) return false;
  return true;
}

// Bytes by which all caches together may grow now.
uint64_t Scheduler::room() const {
  const uint64_t committed = caches_.committed_bytes();
  const uint64_t budget = options_.kv_budget - std::min(options_.kv_budget, committed);
  return options_.kv_room ? std::min(budget, options_.kv_room()) : budget;
}

bool Scheduler::hold(uint64_t more_bytes) const {
  return !options_.kv_hold || options_.kv_hold(caches_.committed_bytes() + more_bytes);
}

// Free blocks' pages go back to the system. Said at once: what may grow is counted from what is held.
size_t Scheduler::give_back() {
  const size_t bytes = caches_.trim();
  if (bytes > 0) hold(0);
  return bytes;
}

// What is cached goes, as far as there are more_bytes too many for the ceiling; false: nothing went.
bool Scheduler::evict_beside(uint64_t more_bytes) {
  bool some = false;
  while (caches_.in_use_bytes() + more_bytes > ceiling_ && caches_.evict_oldest()) some = true;
  // What is beyond it now nobody uses.
  if (caches_.committed_bytes() > ceiling_ && caches_.committed_bytes() > caches_.in_use_bytes())
    give_back();
  return some;
}

// Room for n_tokens in all, to be written from n_stored on. What is cached gives way.
bool Scheduler::grow(CachedTokens& cache, int64_t n_tokens) {
  KvCache& home = *cache.home;
  bool trimmed = false, asked = false;
  while (true) {
    const GroupBlocks more = more_blocks(cache, n_tokens);
    if (more == GroupBlocks{}) return true;
    if (evict_beside(home.bytes(more))) continue;
    const bool addresses = has_addresses(home, more);
    // Committed blocks that are free are taken first.
    GroupBlocks commits{};
    for (size_t g = 0; g < home.n_groups(); ++g) {
      const kv::BlockPool& pool = *home.pools[g];
      commits[g] = std::max<int64_t>(more[g] - static_cast<int64_t>(pool.committed() - pool.in_use()), 0);
    }
    const uint64_t bytes = home.bytes(commits);
    const uint64_t most = bytes > 0 ? room() : 0;
    if (addresses && bytes <= most && hold(bytes)) {
      if (take_blocks(cache, n_tokens)) return true;
      hold(0);
    }
    // The system can give what is free already where it is needed, and what is free in one cache another can
    // use. Once: an attempt that fails leaves free blocks, too.
    if (addresses && !trimmed && give_back() > 0) {
      trimmed = true;
      continue;
    }
    if (!addresses) {
      if (!home.tree.evict_oldest()) return false;
      continue;
    }
    // As many as it takes before the system is asked again, and one at least: it may have refused. One that
    // this sequence was to copy gives no memory, but then it need not be copied.
    const uint64_t before = caches_.in_use_bytes(), missing = bytes - std::min(bytes, most);
    if (!caches_.evict_oldest()) {
      if (std::exchange(asked, true) || !ask(bytes)) return false;
      continue;
    }
    while (before - caches_.in_use_bytes() < missing && caches_.evict_oldest()) {
    }
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
      const KvCache& home = *s->cache().home;
      const uint64_t more = home.bytes(more_blocks(s->cache(), s->cache().n_stored + slices[i].n_rows));
      without(s);
      if (more > room() && give_way(checked_add(s->cache().bytes(), more).value_or(UINT64_MAX)))
        return pause(*s);
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
  std::optional<Clock::time_point> oldest = caches_.oldest_use();
  if (idle() && caches_.committed_bytes() > caches_.in_use_bytes())
    oldest = std::min(oldest.value_or(last_use_), last_use_);
  if (!oldest) return std::nullopt;
  return *oldest + *idle_trim_;
}

void Scheduler::trim(Clock::time_point now) {
  const auto next = next_trim();
  if (!next || now < *next) return;
  bool some = false;
  for (auto oldest = caches_.oldest_use(); oldest && *oldest <= now - *idle_trim_;
       oldest = caches_.oldest_use())
    some = caches_.evict_oldest();
  if (some || idle()) give_back();
  if (idle()) last_use_ = now;  // once, even if the system would not take it
  count_use();
}

Result<void> Scheduler::fill(int64_t tokens, int64_t sequences) {
  filler_.clear();
  Result<void> result;
  QUIPU_ASSIGN(KvCache * home, caches_.get(options_.kv_types));
  for (int64_t i = 0; i < sequences && tokens > 0; ++i) {
    filler_.emplace_back().move_to(*home, false);
    CachedTokens& c = filler_.back();
    // Behind a window blocks go while others come.
    const int64_t step = home->has_windows() ? kMaxBatchRows : tokens;
    bool grown = true;
    for (int64_t n = std::min(step, tokens); grown && c.n_stored < tokens;
         n = std::min(step, tokens - c.n_stored))
      if (grown = grow(c, c.n_stored + n); grown) c.stored(n);
    if (grown) continue;
    filler_.clear();
    result =
        error(Code::kOutOfMemory, "there is no memory for the KV cache of {} x {} tokens", sequences, tokens);
    break;
  }
  if (filler_.empty()) {
    while (caches_.evict_oldest()) {
    }
    give_back();
  }
  count_use();
  return result;
}

// ---- what there is

void Scheduler::count_use() {
  const auto put = [](std::atomic<uint64_t>& into, uint64_t n) { into.store(n, std::memory_order_relaxed); };
  const uint64_t cached = caches_.cached_bytes();
  put(in_use_, caches_.in_use_bytes() - cached);
  put(cached_, cached);
  put(committed_, caches_.committed_bytes());
  put(planned_, caches_.planned_bytes());
  put(n_running_, running_.size());
  put(n_paused_, paused_.size());
  put(n_preempted_, n_preemptions_);
  put(n_evicted_, caches_.n_evicted());
  hold(0);  // what it has less than before is free for others
}

Engine::KvUse Scheduler::use() const {
  return {in_use_.load(std::memory_order_relaxed), cached_.load(std::memory_order_relaxed),
          committed_.load(std::memory_order_relaxed), planned_.load(std::memory_order_relaxed)};
}

Engine::Counters Scheduler::counters() const {
  return {n_running_.load(std::memory_order_relaxed), n_paused_.load(std::memory_order_relaxed),
          n_preempted_.load(std::memory_order_relaxed), n_evicted_.load(std::memory_order_relaxed)};
}

}  // namespace quipu
