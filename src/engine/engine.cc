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
        block_bytes_(parts.blocks->block_bytes()),
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
    const int64_t asked = request.options.n_ctx;
    const int64_t n_ctx =
        asked > 0 ? std::min(asked, std::max(options_.n_ctx, model_.n_ctx_train())) : options_.n_ctx;
    if (n_ctx < asked)
      spdlog::warn("num_ctx {} is more than the model was trained for; it is {}", request.options.n_ctx,
                   n_ctx);
    if (request.options.n_threads > n_threads_)
      spdlog::warn("num_thread {} is more than this runner has; it is {}", request.options.n_threads,
                   n_threads_);
    if (request.prompt.empty()) return error(Code::kInvalidArgument, "the prompt is empty");
    for (Token t : request.prompt)
      if (t < 0 || t >= model_.n_vocab())
        return error(Code::kInvalidArgument, "token {} is not in the vocabulary of {}", t, model_.n_vocab());
    // One place must stay free for the answer.
    if (static_cast<int64_t>(request.prompt.size()) >= n_ctx)
      return error(
          Code::kInvalidArgument,
          "the prompt has {} tokens; with num_ctx {} at most {} fit: raise num_ctx or shorten the prompt",
          request.prompt.size(), n_ctx, n_ctx - 1);
    QUIPU_ASSIGN(auto sampler, Sampler::create(request.options.sampling, n_ctx));
    auto s = std::make_unique<Sequence>(next_id_.fetch_add(1), std::move(request), n_ctx, std::move(sampler),
                                        tokenizer_, scheduler_.blocks());
    const uint64_t id = s->id();
    const std::lock_guard lock(mutex_);
    if (stopping_) return error(Code::kUnavailable, "the engine is shutting down");
    if (static_cast<int64_t>(waiting_.size()) >= options_.max_waiting)
      return error(Code::kUnavailable, "{} requests are waiting already; try again later", waiting_.size());
    waiting_.push_back(std::move(s));
    wake_.notify_all();
    return id;
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
  const EngineOptions& options() const { return options_; }
  uint64_t kv_block_bytes() const { return block_bytes_; }

 private:
  struct FillJob {
    int64_t tokens, sequences;
    std::optional<Result<void>> result;
  };
  using Owned = std::unique_ptr<Sequence>;

  void loop() {
    const auto has_work = [this] {
      return stopping_ || !scheduler_.idle() || !waiting_.empty() || !cancelled_.empty() ||
             (fill_ && !fill_->result);
    };
    while (true) {
      std::set<uint64_t> cancelled;
      std::list<Owned> over;
      {
        std::unique_lock lock(mutex_);
        if (const auto trim = scheduler_.next_trim())
          wake_.wait_until(lock, *trim, has_work);
        else
          wake_.wait(lock, has_work);
        if (stopping_) break;
        cancelled.swap(cancelled_);
        over = take_over(cancelled);
        while (!waiting_.empty() && scheduler_.has_place()) {
          scheduler_.add(std::move(waiting_.front()));
          waiting_.pop_front();
        }
        if (fill_ && !fill_->result) {
          fill_->result = scheduler_.fill(fill_->tokens, fill_->sequences);
          filled_.notify_all();
        }
      }
      // Without the lock: callers may submit and cancel from their callbacks.
      for (const Owned& s : over)
        s->finish(cancelled.contains(s->id()) ? StopReason::kCancelled : StopReason::kTime, 0);
      over.clear();
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

  std::mutex mutex_;  // guards what follows
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
  const auto n_vocab = static_cast<size_t>(model.n_vocab());
  const size_t output_rows = static_cast<size_t>(options.n_parallel) * n_vocab * sizeof(float);
  if (output.size() < output_rows + n_vocab * sizeof(Candidate))
    return error(Code::kInternal, "the output buffer is smaller than its plan");
  auto* logits = reinterpret_cast<float*>(output.data());
  auto* candidates = reinterpret_cast<Candidate*>(output.data() + output_rows);

  // Address space for every sequence at the longest context any request may ask for; pages come with use.
  constexpr uint64_t kMostAddresses =
      1ull << 42;  // 4 TiB: more than any machine has, and a 128th of what a process has
  const uint64_t block_bytes = model.kv_layout(options.kv_types).block_bytes();
  const int64_t longest = std::max(options.n_ctx, model.n_ctx_train());
  const auto wanted =
      checked_mul<int64_t>(ceil_div<int64_t>(longest, kernels::kBlockTokens), options.n_parallel);
  const uint64_t bytes = std::min(kMostAddresses, std::max(options.kv_budget, block_bytes));
  const uint64_t most = std::min(bytes / std::max<uint64_t>(block_bytes, 1), uint64_t{1} << 31);
  const uint64_t capacity = wanted ? std::min(static_cast<uint64_t>(*wanted), most) : most;
  QUIPU_ASSIGN(auto blocks, kv::BlockPool::create(block_bytes, static_cast<uint32_t>(capacity), ledger));

  Scheduler::Parts parts{
      model, pool, std::move(workspace), logits, std::span(candidates, n_vocab), std::move(blocks)};
  auto impl = std::make_unique<Impl>(tokenizer, std::move(options), std::move(parts));
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
