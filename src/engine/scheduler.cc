#include "engine/scheduler.h"

#include <algorithm>

#include "base/checked.h"

namespace quipu {

namespace {

// Rows of a step while somebody decodes. Prefill is nearly as fast in small chunks as in those of 256 rows,
// and who decodes waits a fifth of the time for his next token: with four chats at once (bench/serve.py,
// SmolLM2 on two cores) 48 rows have a 99th percentile of 29 ms between tokens, 64 rows of 40 ms, at equal
// throughput.
constexpr int64_t kRowsBesideDecoding = 48;

// Nothing for "never", and for so long that it comes to the same.
std::optional<Clock::duration> trim_after(double seconds) {
  if (!(seconds > 0 && seconds < 1e9)) return std::nullopt;
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

bool decodes(const Sequence& s) { return s.samples() && s.n_pending() == 1; }

// What the plan says that n_parallel contexts take.
uint64_t kv_ceiling(const Model& model, const EngineOptions& o) {
  memory::RuntimeOptions runtime;
  runtime.n_ctx = o.n_ctx;
  runtime.n_parallel = o.n_parallel;
  runtime.k_bytes_per_32 = kernels::kv_bytes_per_32(o.kv_types.k);
  runtime.v_bytes_per_32 = kernels::kv_bytes_per_32(o.kv_types.v);
  return memory::plan(model.shape(1), runtime).kv_ceiling;
}

// Whether `a`, which comes first, is going to compute the block that has all that `b` needs next: once it is
// full, b takes it over. Who is further in that block comes first, and of several the oldest: then there is
// always one that waits for nobody.
bool computes_for(const Sequence& a, const Sequence& b) {
  if (!a.cache().path.in_tree() || !a.cache().path.same_as(b.cache().path)) return false;
  const int64_t n_a = a.cache().n_stored, n_b = b.cache().n_stored;
  if (n_a != n_b ? n_a < n_b : a.id() >= b.id()) return false;
  const int64_t begin = a.cache().path.n_blocks() * kernels::kBlockTokens;
  const int64_t needed = std::min<int64_t>(b.n_tokens() - 1 - begin, kernels::kBlockTokens);  // not the last
  if (a.n_tokens() - begin < kernels::kBlockTokens || begin + needed <= n_b) return false;
  const auto from = a.cache().tokens.begin() + begin;
  return std::equal(from, from + needed, b.cache().tokens.begin() + begin);
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
      ceiling_(kv_ceiling(model_, options)),
      caches_(std::move(parts.caches)),
      free_sums_(std::move(parts.hidden_sums)) {}

// ---- who runs

void Scheduler::add(std::unique_ptr<Sequence> s) {
  const auto cache = caches_.get(s->limits().kv_types.value_or(options_.kv_types));
  if (!cache) return s->fail(cache.error());
  // An embedding needs the hidden states of all its tokens, and its text has no next turn.
  s->cache().move_to(**cache, options_.keep_prefixes && s->samples());
  wait_for_memory(std::move(s));
  count_use();
}

void Scheduler::wait_for_memory(Owned s) {
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

// What a sequence has of the scheduler's while it runs, but for its blocks.
void Scheduler::release(Sequence& s) {
  if (s.hidden_sum() == nullptr) return;
  free_sums_.push_back(s.hidden_sum());
  s.set_hidden_sum(nullptr);
}

// Its blocks stay in the tree as long as nobody needs the memory.
void Scheduler::leave(Sequence& s) {
  CachedTokens& c = s.cache();
  if (c.path.in_tree()) c.home->tree.publish_all(c.text());
  s.pause();
  evict_beside(0);
  release(s);
}

void Scheduler::pause(Sequence& s) {
  Owned owned = remove(s);
  leave(s);
  ++n_preemptions_;
  if (options_.on_preemption) options_.on_preemption();
  wait_for_memory(std::move(owned));
}

void Scheduler::end(Sequence& s, StopReason reason) {
  const Owned owned = remove(s);
  const uint64_t kv_bytes = s.cache().bytes();
  leave(s);
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

void Scheduler::fail(const std::vector<Slice>& slices, const Error& e) {
  std::vector<Owned> all;
  for (const Slice& slice : slices) {
    all.push_back(remove(*slice.sequence));
    release(*slice.sequence);
    slice.sequence->pause();
  }
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

// ---- a step

void Scheduler::step() {
  end_what_is_over();
  start_paused();
  count_use();
  if (KvCache* home = whose_turn()) {
    catch_up(*home);
    std::vector<Slice> slices = pick(*home);
    reserve(slices);
    count_use();  // a forward pass may take seconds
    if (!slices.empty()) {
      if (auto ok = forward(*home, slices); ok)
        use_results(slices);
      else
        fail(slices, ok.error());
    }
  }
  last_use_ = Clock::now();
  count_use();
}

// The next cache, in turn, that somebody runs on.
KvCache* Scheduler::whose_turn() {
  const auto caches = caches_.all();
  for (size_t i = 1; i <= caches.size(); ++i) {
    const size_t at = (last_turn_ + i) % caches.size();
    KvCache* home = caches[at].get();
    if (std::none_of(running_.begin(), running_.end(),
                     [&](const Owned& s) { return s->cache().home == home; }))
      continue;
    last_turn_ = at;
    return home;
  }
  return nullptr;
}

// One row for who decodes, an even share of what is left for who prefills: the least needy first, as what
// they do not use is for the others. n_parallel is at most the rows of a batch, so everybody gets one. Who
// decodes in another cache waits for this step too.
std::vector<Scheduler::Slice> Scheduler::pick(const KvCache& home) {
  std::vector<Slice> slices;
  std::vector<Sequence*> prefilling;
  bool somebody_decodes = false;
  for (const Owned& s : running_) {
    somebody_decodes |= decodes(*s);
    if (s->cache().home != &home) continue;
    if (decodes(*s))
      slices.push_back({s.get(), 1, true});
    else
      prefilling.push_back(s.get());
  }
  const int64_t rows =
      somebody_decodes ? std::max(kRowsBesideDecoding, static_cast<int64_t>(running_.size())) : kMaxBatchRows;
  if (prefilling.size() > 1) {
    const std::vector<Sequence*> all = prefilling;
    std::erase_if(prefilling, [&](const Sequence* s) {
      return std::any_of(all.begin(), all.end(), [s](const Sequence* a) { return computes_for(*a, *s); });
    });
  }
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

Result<void> Scheduler::forward(const KvCache& home, const std::vector<Slice>& slices) {
  tokens_.clear();
  sequences_.clear();
  output_rows_.clear();
  sums_.clear();
  int threads = 0;
  for (const Slice& slice : slices) {
    Sequence& s = *slice.sequence;
    const CachedTokens& c = s.cache();
    const auto row0 = static_cast<int64_t>(tokens_.size());
    sequences_.push_back({row0, slice.n_rows, c.n_stored, {}});
    for (size_t g = 0; g < home.n_groups(); ++g) sequences_.back().blocks[g] = c.tables[g].blocks().data();
    const auto first = c.tokens.begin() + c.n_stored;
    tokens_.insert(tokens_.end(), first, first + slice.n_rows);
    if (!s.samples())
      sums_.push_back({row0, slice.n_rows, s.hidden_sum()});
    else if (slice.is_last)
      output_rows_.push_back(static_cast<int32_t>(tokens_.size()) - 1);
    const int asked = s.limits().n_threads;
    threads = std::max(threads, asked > 0 ? asked : pool_.size());
  }
  pool_.set_active(threads);
  const Model::Pass pass{pool_, *workspace_, home.layouts};
  return model_.forward(pass, {tokens_, sequences_, output_rows_, sums_}, logits_);
}

void Scheduler::use_results(const std::vector<Slice>& slices) {
  const auto n_vocab = static_cast<size_t>(model_.n_vocab());
  float* row = logits_;
  for (const Slice& slice : slices) {
    Sequence& s = *slice.sequence;
    s.cache().stored(slice.n_rows);
    if (!slice.is_last) continue;
    const std::span<float> logits(row, s.samples() ? n_vocab : 0);
    row += logits.size();
    if (const auto reason = s.computed(logits, candidates_)) end(s, *reason);
  }
}

}  // namespace quipu
