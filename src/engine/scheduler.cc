#include "engine/scheduler.h"

#include <algorithm>
#include <limits>

#include "base/checked.h"
#include "base/log.h"

namespace quipu {

namespace {

// Rows of a step while somebody decodes. Prefill is as fast in chunks of 64 rows as of 256 (SmolLM2 on two
// cores: 585 and 576 tokens a second), and who decodes waits a quarter of the time for his next token.
constexpr int64_t kRowsBesideDecoding = 64;

int64_t blocks_for(int64_t n_tokens) { return ceil_div<int64_t>(n_tokens, kernels::kBlockTokens); }

// Blocks that a table of n_stored tokens takes until it has n_tokens.
int64_t more_blocks(const kv::BlockTable& table, int64_t n_stored, int64_t n_tokens) {
  const int64_t missing = blocks_for(n_tokens) - static_cast<int64_t>(table.ids().size());
  return std::max<int64_t>(missing, 0) + (table.is_shared(n_stored) ? 1 : 0);
}
// Nothing for "never", and for so long that it comes to the same.
std::optional<Clock::duration> trim_after(double seconds) {
  if (!(seconds > 0 && seconds < 1e9)) return std::nullopt;
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

}  // namespace

Scheduler::Scheduler(Parts parts, const EngineOptions& options)
    : model_(parts.model),
      pool_(parts.pool),
      workspace_(std::move(parts.workspace)),
      logits_(parts.logits),
      candidates_(parts.candidates),
      options_(options),
      idle_trim_(trim_after(options.idle_trim_seconds)),
      layout_(model_.kv_layout(options.kv_types)),
      blocks_(std::move(parts.blocks)) {}

// ---- who runs

void Scheduler::add(std::unique_ptr<Sequence> s) {
  const auto older = [](const Owned& a, const Owned& b) { return a->id() < b->id(); };
  paused_.insert(std::upper_bound(paused_.begin(), paused_.end(), s, older), std::move(s));
}

Scheduler::Owned Scheduler::remove(Sequence& s) {
  for (auto* list : {&running_, &paused_}) {
    const auto at = std::find_if(list->begin(), list->end(), [&](const Owned& o) { return o.get() == &s; });
    if (at == list->end()) continue;
    Owned owned = std::move(*at);
    list->erase(at);
    return owned;
  }
  return nullptr;
}

void Scheduler::pause(Sequence& s) {
  Owned owned = remove(s);
  owned->pause();
  add(std::move(owned));
}

// What it leaves in the cache is kept for the next turn.
void Scheduler::end(Sequence& s, StopReason reason) {
  const Owned owned = remove(s);
  const uint64_t kv_bytes = s.cache().table.ids().size() * layout_.block_bytes();
  if (options_.keep_prefixes)
    kept_.put(std::move(s.cache()));
  else
    s.pause();
  count_use();
  s.finish(reason, kv_bytes);
}

void Scheduler::cancel(uint64_t id) {
  for (auto* list : {&running_, &paused_})
    for (const Owned& s : *list)
      if (s->id() == id) return end(*s, StopReason::kCancelled);
}

void Scheduler::end_all(StopReason reason) {
  while (!running_.empty()) end(*running_.back(), reason);
  while (!paused_.empty()) end(*paused_.back(), reason);
}

void Scheduler::fail_all(const Error& e) {
  std::vector<Owned> all = std::move(running_);
  running_.clear();
  for (const Owned& s : all) s->pause();
  count_use();
  for (const Owned& s : all) s->fail(e);
}

void Scheduler::end_what_is_over() {
  const auto now = Clock::now();
  for (auto* list : {&running_, &paused_})
    for (size_t i = list->size(); i-- > 0;)
      if ((*list)[i]->out_of_time(now)) end(*(*list)[i], StopReason::kTime);
  for (size_t i = running_.size(); i-- > 0;)
    if (!running_[i]->make_context()) end(*running_[i], StopReason::kContext);
}

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
  const std::span<const Token> tokens = s.cache().tokens;
  const int64_t most = s.n_tokens() - 1;  // the last one is always computed, for its logits
  const KeptConversations::Match kept = kept_.find(tokens, most);
  const Sequence* runs = nullptr;
  int64_t n = kept.n_tokens;
  if (options_.keep_prefixes)
    for (const Owned& r : running_)
      if (const int64_t m = common_prefix(r->cache(), tokens, most); m > n) n = m, runs = r.get();
  kv::BlockTable table(*blocks_);
  if (n > 0) table = runs != nullptr ? runs->cache().table.fork(n) : kept_.take(kept);

  // Kept conversations make room, for the place and for the blocks.
  while (static_cast<int64_t>(running_.size() + 1 + kept_.size()) > options_.n_parallel &&
         kept_.drop_oldest()) {
  }
  const int64_t needed = more_blocks(table, n, s.n_tokens());
  while (needed + promised_blocks() > available_blocks())
    if (!kept_.drop_oldest()) return false;
  s.start(std::move(table), n);
  return true;
}

// ---- memory

// Blocks that could be had now.
int64_t Scheduler::available_blocks() const {
  const auto in_use = static_cast<int64_t>(blocks_->in_use());
  const int64_t addresses = static_cast<int64_t>(blocks_->capacity()) - in_use;
  if (!options_.kv_room) return addresses;
  const uint64_t room = options_.kv_room() / layout_.block_bytes();
  const int64_t free = static_cast<int64_t>(blocks_->committed()) - in_use;
  return std::min(addresses,
                  free + static_cast<int64_t>(std::min<uint64_t>(room, std::numeric_limits<int32_t>::max())));
}

// Blocks that the prompts of running sequences will still take.
int64_t Scheduler::promised_blocks() const {
  int64_t n = 0;
  for (const Owned& s : running_) n += more_blocks(s->cache().table, s->cache().n_stored, s->n_tokens());
  return n;
}

// Room for n_tokens in all, to be written from n_stored on. Kept conversations give way.
bool Scheduler::grow(CachedTokens& cache, int64_t n_tokens) {
  bool trimmed = false;
  while (true) {
    const int64_t more = more_blocks(cache.table, cache.n_stored, n_tokens);
    if (more == 0) return true;
    const bool has_addresses = more <= static_cast<int64_t>(blocks_->capacity() - blocks_->in_use());
    const bool has_room =
        !options_.kv_room || options_.kv_room() / layout_.block_bytes() >= static_cast<uint64_t>(more);
    if (has_addresses && has_room && cache.table.make_writable(cache.n_stored) &&
        cache.table.reserve(n_tokens))
      return true;
    // The system can give what is free already where it is needed. Once: an attempt that fails leaves free
    // blocks, too.
    if (has_addresses && !trimmed && blocks_->trim() > 0) {
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

std::optional<Clock::time_point> Scheduler::next_trim() const {
  if (!idle_trim_) return std::nullopt;
  std::optional<Clock::time_point> oldest = kept_.oldest_use();
  if (idle() && blocks_->committed() > blocks_->in_use())
    oldest = std::min(oldest.value_or(last_use_), last_use_);
  if (!oldest) return std::nullopt;
  return *oldest + *idle_trim_;
}

void Scheduler::trim(Clock::time_point now) {
  const auto next = next_trim();
  if (!next || now < *next) return;
  if (kept_.drop_unused_since(now - *idle_trim_) || idle()) blocks_->trim();
  if (idle()) last_use_ = now;  // once, even if the system would not take it
  count_use();
}

Result<void> Scheduler::fill(int64_t tokens, int64_t sequences) {
  filler_.clear();
  Result<void> result;
  for (int64_t i = 0; i < sequences && tokens > 0; ++i) {
    filler_.emplace_back(*blocks_);
    if (grow(filler_.back(), tokens)) continue;
    filler_.clear();
    result =
        error(Code::kOutOfMemory, "there is no memory for the KV cache of {} x {} tokens", sequences, tokens);
    break;
  }
  if (filler_.empty()) {
    kept_.clear();
    blocks_->trim();
  }
  count_use();
  return result;
}

void Scheduler::count_use() {
  ++n_counts_;
  uint64_t running = 0;
  const auto count = [&](const CachedTokens& c) {
    for (kv::BlockId id : c.table.ids()) {
      if (id >= counted_.size()) counted_.resize(id + 1);
      if (counted_[id] != n_counts_) ++running;
      counted_[id] = n_counts_;
    }
  };
  for (const Owned& s : running_) count(s->cache());
  for (const CachedTokens& c : filler_) count(c);
  const uint64_t bytes = layout_.block_bytes();
  in_use_.store(running * bytes, std::memory_order_relaxed);
  cached_.store((blocks_->in_use() - running) * bytes, std::memory_order_relaxed);
  committed_.store(blocks_->committed() * bytes, std::memory_order_relaxed);
}

Engine::KvUse Scheduler::use() const {
  return {in_use_.load(std::memory_order_relaxed), cached_.load(std::memory_order_relaxed),
          committed_.load(std::memory_order_relaxed)};
}

// ---- a step

void Scheduler::step() {
  end_what_is_over();
  start_paused();
  std::vector<Slice> slices = pick();
  reserve(slices);
  if (!slices.empty()) {
    if (auto ok = forward(slices); ok)
      sample(slices);
    else
      fail_all(ok.error());
  }
  last_use_ = Clock::now();
  count_use();
}

// One row for who decodes, an even share of what is left for who prefills: the least needy first, as what
// they do not use is for the others. n_parallel is at most the rows of a batch, so everybody gets one.
std::vector<Scheduler::Slice> Scheduler::pick() {
  std::vector<Slice> slices;
  std::vector<Sequence*> prefilling;
  for (const Owned& s : running_) {
    if (s->n_pending() > 1)
      prefilling.push_back(s.get());
    else
      slices.push_back({s.get(), 1, true});
  }
  const int64_t rows =
      slices.empty() ? kMaxBatchRows : std::max(kRowsBesideDecoding, static_cast<int64_t>(running_.size()));
  int64_t free_rows = rows - static_cast<int64_t>(slices.size());
  std::sort(prefilling.begin(), prefilling.end(), [](const Sequence* a, const Sequence* b) {
    return a->n_pending() != b->n_pending() ? a->n_pending() < b->n_pending() : a->id() < b->id();
  });
  for (size_t k = 0; k < prefilling.size(); ++k) {
    const int64_t pending = prefilling[k]->n_pending();
    const int64_t n = std::min(pending, free_rows / static_cast<int64_t>(prefilling.size() - k));
    slices.push_back({prefilling[k], n, n == pending});
    free_rows -= n;
  }
  return slices;
}

Result<void> Scheduler::forward(const std::vector<Slice>& slices) {
  tokens_.clear();
  sequences_.clear();
  output_rows_.clear();
  int threads = 0;
  for (const Slice& slice : slices) {
    const CachedTokens& c = slice.sequence->cache();
    sequences_.push_back(
        {static_cast<int64_t>(tokens_.size()), slice.n_rows, c.n_stored, c.table.blocks().data()});
    const auto first = c.tokens.begin() + c.n_stored;
    tokens_.insert(tokens_.end(), first, first + slice.n_rows);
    if (slice.samples) output_rows_.push_back(static_cast<int32_t>(tokens_.size()) - 1);
    const int asked = slice.sequence->options().n_threads;
    threads = std::max(threads, asked > 0 ? asked : pool_.size());
  }
  pool_.set_active(threads);
  const Model::Pass pass{pool_, *workspace_, layout_};
  return model_.forward(pass, {tokens_, sequences_, output_rows_}, logits_);
}

void Scheduler::sample(const std::vector<Slice>& slices) {
  const auto n_vocab = static_cast<size_t>(model_.n_vocab());
  const float* row = logits_;
  for (const Slice& slice : slices) {
    Sequence& s = *slice.sequence;
    s.cache().n_stored += slice.n_rows;
    if (!slice.samples) continue;
    const Token t = s.sampler().sample(std::span(row, n_vocab), candidates_);
    row += n_vocab;
    if (const auto reason = s.accept(t)) end(s, *reason);
  }
}

}  // namespace quipu
