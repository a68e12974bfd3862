#include "engine/engine.h"

#include <algorithm>
#include <condition_variable>
#include <list>
#include <mutex>
#include <set>
#include <thread>

#include "base/checked.h"
#include "engine/sequence.h"
#include "kv/block_pool.h"

namespace quipu {

class Engine::Impl {
 public:
  Impl(const Model& model, const Tokenizer* tokenizer, ThreadPool& pool, std::unique_ptr<Workspace> workspace,
       float* logits, std::span<Candidate> candidates, EngineOptions options, std::unique_ptr<kv::BlockPool> blocks)
      : model_(model),
        tokenizer_(tokenizer),
        pool_(pool),
        workspace_(std::move(workspace)),
        logits_(logits),
        candidates_(candidates),
        options_(options),
        layout_(model.kv_layout(options.kv_types)),
        blocks_(std::move(blocks)) {}

  void start() { thread_ = std::thread([this] { loop(); }); }

  void stop() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

  Result<uint64_t> submit(GenerateRequest request) {
    const int64_t n_ctx = request.options.n_ctx > 0 ? request.options.n_ctx : options_.n_ctx;
    if (n_ctx > n_ctx_limit())
      return error(Code::kInvalidArgument, "num_ctx {} is more than the {} tokens the model was trained for", n_ctx,
                   n_ctx_limit());
    if (request.prompt.empty()) return error(Code::kInvalidArgument, "the prompt is empty");
    for (Token t : request.prompt)
      if (t < 0 || t >= model_.n_vocab())
        return error(Code::kInvalidArgument, "token {} is not in the vocabulary of {}", t, model_.n_vocab());
    // One place must stay free for the answer.
    if (static_cast<int64_t>(request.prompt.size()) >= n_ctx)
      return error(Code::kInvalidArgument,
                   "the prompt has {} tokens; with num_ctx {} at most {} fit: raise num_ctx or shorten the prompt",
                   request.prompt.size(), n_ctx, n_ctx - 1);
    QUIPU_ASSIGN(auto sampler, Sampler::create(request.options.sampling, n_ctx));
    const std::lock_guard lock(mutex_);
    if (stopping_) return error(Code::kUnavailable, "the engine is shutting down");
    if (static_cast<int64_t>(waiting_.size()) >= options_.max_waiting)
      return error(Code::kUnavailable, "{} requests are waiting already; try again later", waiting_.size());
    const uint64_t id = next_id_++;
    waiting_.push_back({id, n_ctx, std::move(request), std::move(sampler)});
    wake_.notify_all();
    return id;
  }

  void cancel(uint64_t id) {
    const std::lock_guard lock(mutex_);
    cancelled_.insert(id);
    wake_.notify_all();
  }

  Result<void> fill(int64_t tokens, int64_t sequences) {
    // Runs on the engine's thread, which owns the pool.
    std::unique_lock lock(mutex_);
    if (fill_) return error(Code::kUnavailable, "another fill is under way");
    fill_ = FillJob{tokens, sequences, {}, false};
    wake_.notify_all();
    filled_.wait(lock, [&] { return fill_->done || stopping_; });
    Result<void> result = fill_->done ? fill_->result : error(Code::kUnavailable, "the engine is shutting down");
    fill_.reset();
    return result;
  }

  KvUse kv_use() const {
    return {in_use_.load(std::memory_order_relaxed), cached_.load(std::memory_order_relaxed),
            committed_.load(std::memory_order_relaxed)};
  }
  const EngineOptions& options() const { return options_; }
  uint64_t kv_block_bytes() const { return layout_.block_bytes(); }

 private:
  struct Waiting {
    uint64_t id;
    int64_t n_ctx;
    GenerateRequest request;
    std::unique_ptr<Sampler> sampler;
  };
  struct FillJob {
    int64_t tokens, sequences;
    Result<void> result;
    bool done;
  };

  int64_t n_ctx_limit() const { return std::max(options_.n_ctx, model_.n_ctx_train()); }

  void loop() {
    while (true) {
      std::vector<Waiting> admitted;
      std::set<uint64_t> cancelled;
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [&] {
          return stopping_ || !running_.empty() || !waiting_.empty() || !cancelled_.empty() || (fill_ && !fill_->done);
        });
        if (stopping_) break;
        cancelled.swap(cancelled_);
        drop_cancelled_waiting(cancelled, lock);
        while (!waiting_.empty() &&
               static_cast<int64_t>(running_.size() + admitted.size()) < options_.n_parallel) {
          admitted.push_back(std::move(waiting_.front()));
          waiting_.pop_front();
        }
        if (fill_ && !fill_->done) {
          fill_->result = do_fill(fill_->tokens, fill_->sequences);
          fill_->done = true;
          filled_.notify_all();
        }
      }
      for (Waiting& w : admitted) admit(std::move(w));
      for (uint64_t id : cancelled) end_if_running(id, StopReason::kCancelled);
      step();
      publish_use();
    }
    for (auto& s : running_) s->finish(StopReason::kCancelled);
    running_.clear();
    std::list<Waiting> rest;
    {
      const std::lock_guard lock(mutex_);
      rest.swap(waiting_);
    }
    for (Waiting& w : rest)
      if (w.request.on_done) w.request.on_done(error(Code::kUnavailable, "the engine is shutting down"));
    filled_.notify_all();
  }

  void drop_cancelled_waiting(const std::set<uint64_t>& ids, std::unique_lock<std::mutex>& lock) {
    std::list<Waiting> dropped;
    for (auto it = waiting_.begin(); it != waiting_.end();) {
      auto next = std::next(it);
      if (ids.contains(it->id)) dropped.splice(dropped.end(), waiting_, it);
      it = next;
    }
    if (dropped.empty()) return;
    lock.unlock();  // callbacks run without the lock
    for (Waiting& w : dropped) {
      GenerateStats stats;
      stats.reason = StopReason::kCancelled;
      stats.prompt_tokens = static_cast<int64_t>(w.request.prompt.size());
      if (w.request.on_done) w.request.on_done(stats);
    }
    lock.lock();
  }

  // Tokens that both share from the start; the last prompt token is always computed, for its logits.
  static int64_t common_prefix(const CachedTokens& c, const std::vector<Token>& prompt) {
    const auto most = static_cast<size_t>(std::min(c.n_stored, static_cast<int64_t>(prompt.size()) - 1));
    size_t n = 0;
    while (n < most && c.tokens[n] == prompt[n]) ++n;
    return static_cast<int64_t>(n);
  }

  void admit(Waiting w) {
    CachedTokens cache(*blocks_);
    auto best = kept_.end();
    int64_t most = 0;
    for (auto it = kept_.begin(); it != kept_.end(); ++it)
      if (const int64_t n = common_prefix(*it, w.request.prompt); n > most) best = it, most = n;
    if (best != kept_.end()) {
      cache = std::move(*best);
      kept_.erase(best);
      cache.n_stored = most;
      cache.table.truncate(most);
    }
    running_.push_back(std::make_unique<Sequence>(w.id, std::move(w.request), w.n_ctx, std::move(w.sampler), tokenizer_,
                                                  std::move(cache)));
  }

  void end_if_running(uint64_t id, StopReason reason) {
    for (size_t i = 0; i < running_.size(); ++i)
      if (running_[i]->id() == id) return end(i, reason);
  }

  // Takes sequence i out of the batch; what it leaves in the cache is kept for the next turn.
  void end(size_t i, StopReason reason) {
    std::unique_ptr<Sequence> s = std::move(running_[i]);
    running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(i));
    s->kv_bytes = s->cache().table.ids().size() * layout_.block_bytes();
    if (options_.keep_prefixes && s->cache().n_stored > 0) {
      CachedTokens& c = s->cache();
      c.tokens.resize(static_cast<size_t>(c.n_stored));
      c.table.truncate(c.n_stored);
      c.last_used = Clock::now();
      kept_.push_back(std::move(c));
      if (static_cast<int64_t>(kept_.size()) > options_.n_parallel) drop_oldest_kept();
    }
    publish_use();
    s->finish(reason);
  }

  bool drop_oldest_kept() {
    auto oldest = std::min_element(kept_.begin(), kept_.end(),
                                   [](const auto& a, const auto& b) { return a.last_used < b.last_used; });
    if (oldest == kept_.end()) return false;
    kept_.erase(oldest);
    return true;
  }

  Result<void> reserve(CachedTokens& cache, int64_t n_tokens) {
    while (true) {
      Result<void> r = cache.table.reserve(n_tokens);
      if (r || r.error().code != Code::kOutOfMemory || !drop_oldest_kept()) return r;
    }
  }

  struct Slice {
    size_t index;    // in running_
    int64_t n_rows;
    bool samples;    // its last row's logits are wanted
  };

  // Rows of each sequence in the coming batch: one for who decodes, an even share of what is left for who prefills.
  std::vector<Slice> pick() {
    std::vector<Slice> slices;
    int64_t free_rows = kMaxBatchRows;
    std::vector<size_t> prefilling;
    for (size_t i = 0; i < running_.size(); ++i) {
      if (running_[i]->n_pending() > 1) {
        prefilling.push_back(i);
        continue;
      }
      slices.push_back({i, 1, true});
      --free_rows;
    }
    for (size_t k = 0; k < prefilling.size(); ++k) {
      const int64_t share = free_rows / static_cast<int64_t>(prefilling.size() - k);
      const int64_t pending = running_[prefilling[k]]->n_pending();
      const int64_t n = std::min(pending, share);
      if (n == 0) continue;
      slices.push_back({prefilling[k], n, n == pending});
      free_rows -= n;
    }
    return slices;
  }

  void step() {
    for (size_t i = running_.size(); i-- > 0;)
      if (auto reason = running_[i]->before_step()) end(i, *reason);
    std::vector<Slice> slices = pick();
    for (size_t k = slices.size(); k-- > 0;) {
      Sequence& s = *running_[slices[k].index];
      if (reserve(s.cache(), s.cache().n_stored + slices[k].n_rows)) continue;
      const size_t index = slices[k].index;
      end(index, StopReason::kMemory);
      slices.erase(slices.begin() + static_cast<std::ptrdiff_t>(k));
      for (Slice& other : slices)
        if (other.index > index) --other.index;
    }
    if (slices.empty()) return;
    if (auto ok = forward(slices); !ok) return fail_all(ok.error());
    sample(slices);
  }

  Result<void> forward(const std::vector<Slice>& slices) {
    tokens_.clear();
    sequences_.clear();
    output_rows_.clear();
    int threads = 0;
    for (const Slice& slice : slices) {
      Sequence& s = *running_[slice.index];
      CachedTokens& c = s.cache();
      sequences_.push_back({static_cast<int64_t>(tokens_.size()), slice.n_rows, c.n_stored, c.table.blocks().data()});
      const auto first = c.tokens.begin() + c.n_stored;
      tokens_.insert(tokens_.end(), first, first + slice.n_rows);
      if (slice.samples) output_rows_.push_back(static_cast<int32_t>(tokens_.size()) - 1);
      const int wanted = s.options().n_threads > 0 ? s.options().n_threads : pool_.size();
      threads = std::max(threads, wanted);
    }
    pool_.set_active(threads);
    const Model::Pass pass{pool_, *workspace_, layout_};
    return model_.forward(pass, {tokens_, sequences_, output_rows_}, logits_);
  }

  void sample(const std::vector<Slice>& slices) {
    const float* row = logits_;
    std::vector<std::pair<size_t, StopReason>> ended;
    for (const Slice& slice : slices) {
      Sequence& s = *running_[slice.index];
      s.cache().n_stored += slice.n_rows;
      if (!slice.samples) continue;
      s.note_prefill_done();
      const Token t = s.sampler().sample(std::span(row, static_cast<size_t>(model_.n_vocab())), candidates_);
      row += model_.n_vocab();
      if (auto reason = s.accept(t)) ended.emplace_back(slice.index, *reason);
    }
    std::sort(ended.begin(), ended.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
    for (const auto& [index, reason] : ended) end(index, reason);
  }

  void fail_all(const Error& e) {
    std::vector<std::unique_ptr<Sequence>> all;
    all.swap(running_);
    for (auto& s : all) s->fail(e);
  }

  Result<void> do_fill(int64_t tokens, int64_t sequences) {
    filler_.clear();
    for (int64_t i = 0; i < sequences && tokens > 0; ++i) {
      CachedTokens c(*blocks_);
      if (auto r = reserve(c, tokens); !r) {
        filler_.clear();
        return r;
      }
      filler_.push_back(std::move(c));
    }
    if (tokens <= 0) {
      kept_.clear();
      blocks_->trim();
    }
    publish_use();
    return {};
  }

  void publish_use() {
    uint64_t running = 0, kept = 0;
    for (const auto& s : running_) running += s->cache().table.ids().size();
    for (const auto& c : filler_) running += c.table.ids().size();
    for (const auto& c : kept_) kept += c.table.ids().size();
    in_use_.store(running * layout_.block_bytes(), std::memory_order_relaxed);
    cached_.store(kept * layout_.block_bytes(), std::memory_order_relaxed);
    committed_.store(static_cast<uint64_t>(blocks_->committed()) * layout_.block_bytes(), std::memory_order_relaxed);
  }

  const Model& model_;
  const Tokenizer* tokenizer_;
  ThreadPool& pool_;
  std::unique_ptr<Workspace> workspace_;
  float* logits_;                    // [n_parallel, n_vocab]
  std::span<Candidate> candidates_;  // [n_vocab]
  const EngineOptions options_;
  const kv::KvLayout layout_;

  // The engine's thread only.
  std::unique_ptr<kv::BlockPool> blocks_;
  std::vector<std::unique_ptr<Sequence>> running_;
  std::list<CachedTokens> kept_;
  std::list<CachedTokens> filler_;
  std::vector<Token> tokens_;
  std::vector<BatchSequence> sequences_;
  std::vector<int32_t> output_rows_;

  std::mutex mutex_;  // guards what follows
  std::condition_variable wake_, filled_;
  std::list<Waiting> waiting_;
  std::set<uint64_t> cancelled_;
  std::optional<FillJob> fill_;
  uint64_t next_id_ = 1;
  bool stopping_ = false;

  std::atomic<uint64_t> in_use_{0}, cached_{0}, committed_{0};
  std::thread thread_;
};

Result<std::unique_ptr<Engine>> Engine::create(const Model& model, const Tokenizer* tokenizer, ThreadPool& pool,
                                               std::unique_ptr<Workspace> workspace, std::span<std::byte> output,
                                               EngineOptions options, memory::Ledger& ledger) {
  if (options.n_ctx < 1 || options.n_parallel < 1 || options.n_parallel > kMaxBatchRows)
    return error(Code::kInvalidArgument, "num_ctx must be at least 1 and parallel between 1 and {}", kMaxBatchRows);
  const auto n_vocab = static_cast<size_t>(model.n_vocab());
  const size_t output_rows = static_cast<size_t>(options.n_parallel) * n_vocab * sizeof(float);
  if (output.size() < output_rows + n_vocab * sizeof(Candidate))
    return error(Code::kInternal, "the output buffer is smaller than its plan");
  // Address space for every sequence at the longest context any request may ask for; pages come with use.
  const int64_t longest = std::max(options.n_ctx, model.n_ctx_train());
  const auto blocks = checked_mul<int64_t>(ceil_div<int64_t>(longest, kernels::kBlockTokens), options.n_parallel);
  const uint64_t most_blocks = (1ull << 42) / std::max<uint64_t>(model.kv_layout(options.kv_types).block_bytes(), 1);
  const uint64_t capacity =
      std::min({blocks ? static_cast<uint64_t>(*blocks) : most_blocks, most_blocks, uint64_t{1} << 31});
  QUIPU_ASSIGN(auto block_pool, kv::BlockPool::create(model.kv_layout(options.kv_types).block_bytes(),
                                                      static_cast<uint32_t>(capacity), ledger));
  auto* logits = reinterpret_cast<float*>(output.data());
  auto* candidates = reinterpret_cast<Candidate*>(output.data() + output_rows);
  auto impl = std::make_unique<Impl>(model, tokenizer, pool, std::move(workspace), logits,
                                     std::span(candidates, static_cast<size_t>(model.n_vocab())), options,
                                     std::move(block_pool));
  impl->start();
  return std::unique_ptr<Engine>(new Engine(std::move(impl)));
}

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Engine::~Engine() { impl_->stop(); }
Result<uint64_t> Engine::submit(GenerateRequest request) { return impl_->submit(std::move(request)); }
void Engine::cancel(uint64_t id) { impl_->cancel(id); }
const EngineOptions& Engine::options() const { return impl_->options(); }
uint64_t Engine::kv_block_bytes() const { return impl_->kv_block_bytes(); }
Engine::KvUse Engine::kv_use() const { return impl_->kv_use(); }
Result<void> Engine::fill(int64_t tokens, int64_t sequences) { return impl_->fill(tokens, sequences); }

}  // namespace quipu
