#include "engine/engine.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <list>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include "base/checked.h"
#include "base/log.h"
#include "engine/embedding.h"
#include "engine/generation.h"
#include "engine/scheduler.h"

namespace quipu {

// The queue between the threads that ask and the one that computes.
class Engine::Impl {
 public:
  Impl(const Tokenizer* tokenizer, EngineOptions options, Scheduler::Parts parts)
      : model_(parts.model),
        tokenizer_(tokenizer),
        n_threads_(parts.pool.size()),
        options_(std::move(options)),
        block_bytes_(model_.kv_block_bytes(options_.kv_types)),
        scheduler_(std::move(parts), options_) {}

  void start() {
    thread_ = std::thread([this] { loop(); });
  }

  void stop() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

  Result<uint64_t> submit(GenerateRequest request) {
    QUIPU_ASSIGN(const int64_t n_ctx, check(request.prompt, request.options));
    // One place must stay free for the answer.
    if (static_cast<int64_t>(request.prompt.size()) >= n_ctx)
      return error(
          Code::kInvalidArgument,
          "the prompt has {} tokens; with num_ctx {} at most {} fit: raise num_ctx or shorten the prompt",
          request.prompt.size(), n_ctx, n_ctx - 1);
    QUIPU_ASSIGN(auto sampler, Sampler::create(request.options.sampling, n_ctx));
    return enqueue(std::make_unique<Generation>(next_id_.fetch_add(1), std::move(request), n_ctx,
                                                std::move(sampler), tokenizer_, options_.suppressed));
  }

  Result<uint64_t> submit(EmbedRequest request) {
    QUIPU_ASSIGN(const int64_t n_ctx, check(request.tokens, request.limits));
    if (static_cast<int64_t>(request.tokens.size()) > n_ctx)
      return error(Code::kInvalidArgument, "the input has {} tokens, which is more than num_ctx {}",
                   request.tokens.size(), n_ctx);
    return enqueue(std::make_unique<Embedding>(next_id_.fetch_add(1), std::move(request), model_.n_embd()));
  }

  void cancel(uint64_t id) {
    const std::lock_guard lock(mutex_);
    cancelled_.insert(id);
    wake_.notify_all();
  }

  Result<void> fill(int64_t tokens, int64_t sequences) {
    // Done by the engine's thread, which owns the blocks.
    std::unique_lock lock(mutex_);
    if (fill_ || stopping_) return error(Code::kUnavailable, "another fill is under way");
    fill_ = FillJob{tokens, sequences, {}};
    wake_.notify_all();
    filled_.wait(lock, [&] { return fill_->result || stopping_; });
    Result<void> result =
        fill_->result ? *fill_->result : error(Code::kUnavailable, "the engine is shutting down");
    fill_.reset();
    return result;
  }

  KvUse kv_use() const { return scheduler_.use(); }
  Counters counters() const {
    Counters c = scheduler_.counters();
    const std::lock_guard lock(mutex_);
    c.waiting += waiting_.size();
    return c;
  }
  const EngineOptions& options() const { return options_; }
  uint64_t kv_block_bytes() const { return block_bytes_; }

 private:
  struct FillJob {
    int64_t tokens, sequences;
    std::optional<Result<void>> result;
  };
  using Owned = std::unique_ptr<Sequence>;

  // Warnings that clients could repeat without end are given once.
  template <class Give>
  static void once(std::atomic<bool>& given, Give give) {
    if (!given.exchange(true)) give();
  }

  // The request's context.
  Result<int64_t> check(std::span<const Token> tokens, const RunLimits& limits) {
    const int64_t n_ctx = limits.n_ctx > 0
                              ? std::min(limits.n_ctx, std::max(options_.n_ctx, model_.n_ctx_train()))
                              : options_.n_ctx;
    if (n_ctx < limits.n_ctx)
      once(warned_context_, [&] {
        spdlog::warn("num_ctx {} is more than the model was trained for; it is {}", limits.n_ctx, n_ctx);
      });
    if (limits.n_threads > n_threads_)
      once(warned_threads_, [&] {
        spdlog::warn("num_thread {} is more than this runner has; it is {}", limits.n_threads, n_threads_);
      });
    if (tokens.empty()) return error(Code::kInvalidArgument, "the prompt is empty");
    for (const Token t : tokens)
      if (t < 0 || t >= model_.n_vocab())
        return error(Code::kInvalidArgument, "token {} is not in the vocabulary of {}", t, model_.n_vocab());
    return n_ctx;
  }

  Result<uint64_t> enqueue(Owned s) {
    const uint64_t id = s->id();
    const std::lock_guard lock(mutex_);
    if (stopping_) return error(Code::kUnavailable, "the engine is shutting down");
    if (static_cast<int64_t>(waiting_.size()) >= options_.max_waiting)
      return error(Code::kUnavailable, "{} requests are waiting already; try again later", waiting_.size());
    waiting_.push_back(std::move(s));
    wake_.notify_all();
    return id;
  }

  void loop() {
    const auto has_work = [this] {
      const bool can_start = !waiting_.empty() && scheduler_.free_places() > 0;
      return stopping_ || (!scheduler_.idle() && !scheduler_.next_try()) || can_start ||
             !cancelled_.empty() || (fill_ && !fill_->result);
    };
    while (true) {
      std::set<uint64_t> cancelled;
      std::list<Owned> over, starting;
      {
        std::unique_lock lock(mutex_);
        auto next = scheduler_.next_try();
        if (!next) next = scheduler_.next_trim();
        if (next)
          wake_.wait_until(lock, *next, has_work);
        else
          wake_.wait(lock, has_work);
        if (stopping_) break;
        cancelled.swap(cancelled_);
        over = take_over(cancelled);
        for (int64_t n = scheduler_.free_places(); n > 0 && !waiting_.empty(); --n)
          starting.splice(starting.end(), waiting_, waiting_.begin());
        if (fill_ && !fill_->result) {
          fill_->result = scheduler_.fill(fill_->tokens, fill_->sequences);
          filled_.notify_all();
        }
      }
      // Without the lock: callers may submit and cancel from their callbacks.
      for (const Owned& s : over)
        s->finish(cancelled.contains(s->id()) ? StopReason::kCancelled : StopReason::kTime, 0);
      over.clear();
      for (Owned& s : starting) scheduler_.add(std::move(s));
      for (uint64_t id : cancelled) scheduler_.cancel(id);
      if (!scheduler_.idle()) scheduler_.step();
      scheduler_.trim(Clock::now());
    }
    scheduler_.end_all(StopReason::kCancelled);
    std::list<Owned> rest;
    {
      const std::lock_guard lock(mutex_);
      rest.swap(waiting_);
    }
    for (const Owned& s : rest) s->finish(StopReason::kCancelled, 0);
    filled_.notify_all();
  }

  // Those that end while they wait in the queue.
  std::list<Owned> take_over(const std::set<uint64_t>& cancelled) {
    std::list<Owned> over;
    const auto now = Clock::now();
    for (auto it = waiting_.begin(); it != waiting_.end();) {
      const auto next = std::next(it);
      if (cancelled.contains((*it)->id()) || (*it)->out_of_time(now)) over.splice(over.end(), waiting_, it);
      it = next;
    }
    return over;
  }

  const Model& model_;
  const Tokenizer* tokenizer_;
  const int n_threads_;
  const EngineOptions options_;
  const uint64_t block_bytes_;
  Scheduler scheduler_;  // the engine's thread's
  std::atomic<uint64_t> next_id_{1};
  std::atomic<bool> warned_context_{false}, warned_threads_{false};

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable wake_, filled_;
  std::list<Owned> waiting_;
  std::set<uint64_t> cancelled_;
  std::optional<FillJob> fill_;
  bool stopping_ = false;

  std::thread thread_;
};

Result<std::unique_ptr<Engine>> Engine::create(const Model& model, const Tokenizer* tokenizer,
                                               ThreadPool& pool, std::unique_ptr<Workspace> workspace,
                                               std::span<std::byte> output, EngineOptions options,
                                               memory::Ledger& ledger) {
  if (options.n_ctx < 1 || options.n_parallel < 1 || options.n_parallel > kMaxBatchRows)
    return error(Code::kInvalidArgument, "num_ctx must be at least 1 and parallel between 1 and {}",
                 kMaxBatchRows);
  const auto n_parallel = static_cast<size_t>(options.n_parallel);
  const auto n_vocab = static_cast<size_t>(model.n_vocab()), n_embd = static_cast<size_t>(model.n_embd());
  const size_t n_sums = n_parallel * n_embd, n_logits = n_parallel * n_vocab;
  if (output.size() < n_sums * sizeof(double) + n_logits * sizeof(float) + n_vocab * sizeof(Candidate))
    return error(Code::kInternal, "the output buffer is smaller than its plan");
  auto* sums = reinterpret_cast<double*>(output.data());
  auto* logits = reinterpret_cast<float*>(sums + n_sums);
  auto* candidates = reinterpret_cast<Candidate*>(logits + n_logits);
  std::vector<double*> hidden_sums;
  for (size_t i = 0; i < n_parallel; ++i) hidden_sums.push_back(sums + i * n_embd);
  for (const Token t : options.suppressed)
    if (t < 0 || t >= model.n_vocab())
      return error(Code::kInternal, "token {} is to be suppressed and not in the vocabulary", t);

  // Address space for every sequence at the longest context any request may ask for.
  KvCaches caches(model, std::max(options.n_ctx, model.n_ctx_train()), options.n_parallel, ledger);
  QUIPU_TRY(caches.get(options.kv_types));

  Scheduler::Parts parts{model,
                         pool,
                         std::move(workspace),
                         std::move(hidden_sums),
                         logits,
                         std::span(candidates, n_vocab),
                         std::move(caches)};
  auto impl = std::make_unique<Impl>(tokenizer, std::move(options), std::move(parts));
  impl->start();
  return std::unique_ptr<Engine>(new Engine(std::move(impl)));
}

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Engine::~Engine() { impl_->stop(); }
Result<uint64_t> Engine::submit(GenerateRequest request) { return impl_->submit(std::move(request)); }
Result<uint64_t> Engine::submit(EmbedRequest request) { return impl_->submit(std::move(request)); }
void Engine::cancel(uint64_t id) { impl_->cancel(id); }
const EngineOptions& Engine::options() const { return impl_->options(); }
uint64_t Engine::kv_block_bytes() const { return impl_->kv_block_bytes(); }
Engine::KvUse Engine::kv_use() const { return impl_->kv_use(); }
Engine::Counters Engine::counters() const { return impl_->counters(); }
Result<void> Engine::fill(int64_t tokens, int64_t sequences) { return impl_->fill(tokens, sequences); }

}  // namespace quipu
