#include "base/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <system_error>
#include <thread>
#include <vector>

namespace quipu {

namespace {

// How long a thread spins before it sleeps. Between two operations of a forward pass lie 1-10 microseconds,
// and waking a sleeping thread costs about 50; longer spinning would only take time from other processes.
constexpr auto kSpin = std::chrono::microseconds(50);

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// Spins until done() or until kSpin has passed; the clock is read once in 64 rounds, as it costs more than a
// round.
template <class Done>
bool spin_until(Done done) {
  const auto end = std::chrono::steady_clock::now() + kSpin;
  while (true) {
    for (int i = 0; i < 64; ++i) {
      if (done()) return true;
      relax();
    }
    if (std::chrono::steady_clock::now() >= end) return done();
  }
}

}  // namespace

// A job is open while `generation` is odd. A worker enters by counting itself into `inside` and then looking
// at the generation again; the caller closes the job and then looks at `inside`. Both are sequentially
// consistent, so either the worker sees the closed job and leaves untouched, or the caller sees the worker
// and waits for it.
struct ThreadPool::Impl {
  alignas(64) std::atomic<uint32_t> generation{0};
  alignas(64) std::atomic<int> next{0};  // the next part to take
  alignas(64) std::atomic<int> inside{0};
  std::atomic<bool> caller_sleeps{false};
  std::atomic<int> sleepers{0};
  std::atomic<bool> stop{false};
  std::atomic<int> active{1};
  const FunctionRef<void(int, int)>* fn = nullptr;  // of the open job
  int n_parts = 0;
  std::vector<std::thread> threads;

  void take_parts(int worker) {
    const int n = n_parts;
    for (int part; (part = next.fetch_add(1, std::memory_order_relaxed)) < n;) (*fn)(part, worker);
  }

  void worker_loop(int worker) {
    uint32_t seen = 0;  // the generation this worker has dealt with
    while (true) {
      if (!spin_until([&] { return generation.load(std::memory_order_acquire) != seen; })) {
        sleepers.fetch_add(1, std::memory_order_seq_cst);
        generation.wait(seen, std::memory_order_seq_cst);
        sleepers.fetch_sub(1, std::memory_order_relaxed);
      }
      // In this order: `stop` is set before the generation changes for the last time, so a worker that has
      // seen that change sees `stop` too, and never waits for another one.
      seen = generation.load(std::memory_order_acquire);
      if (stop.load(std::memory_order_acquire)) return;
      if (seen % 2 == 0 || worker >= active.load(std::memory_order_relaxed)) continue;
      inside.fetch_add(1, std::memory_order_seq_cst);
      if (generation.load(std::memory_order_seq_cst) == seen) take_parts(worker);
      if (inside.fetch_sub(1, std::memory_order_seq_cst) == 1 &&
          caller_sleeps.load(std::memory_order_seq_cst))
        inside.notify_all();
    }
  }

  void advance() {
    generation.fetch_add(1, std::memory_order_seq_cst);
    if (sleepers.load(std::memory_order_seq_cst) > 0) generation.notify_all();
  }

  void wait_for_workers() {
    if (spin_until([&] { return inside.load(std::memory_order_acquire) == 0; })) return;
    // A worker has lost its core in the middle of a part: give it this one.
    caller_sleeps.store(true, std::memory_order_seq_cst);
    for (int n; (n = inside.load(std::memory_order_seq_cst)) != 0;) inside.wait(n, std::memory_order_seq_cst);
    caller_sleeps.store(false, std::memory_order_relaxed);
  }

  void shut_down() {
    stop.store(true, std::memory_order_release);
    generation.fetch_add(2, std::memory_order_seq_cst);
    generation.notify_all();
    for (std::thread& t : threads) t.join();
    threads.clear();
  }
};

Result<std::unique_ptr<ThreadPool>> ThreadPool::create(int n_threads) {
  if (n_threads < 1) return error(Code::kInvalidArgument, "a thread pool of {} threads", n_threads);
  auto impl = std::make_unique<Impl>();
  impl->active = n_threads;
  try {
    for (int i = 1; i < n_threads; ++i)
      impl->threads.emplace_back([p = impl.get(), i] { p->worker_loop(i); });
  } catch (const std::system_error& e) {
    impl->shut_down();
    return error(Code::kOutOfMemory, "cannot start {} threads: {}", n_threads, e.what());
  }
  return std::unique_ptr<ThreadPool>(new ThreadPool(std::move(impl)));
}

ThreadPool::ThreadPool(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ThreadPool::~ThreadPool() { impl_->shut_down(); }

int ThreadPool::size() const { return static_cast<int>(impl_->threads.size()) + 1; }
int ThreadPool::active() const { return impl_->active.load(std::memory_order_relaxed); }
void ThreadPool::set_active(int n_threads) {
  impl_->active.store(std::clamp(n_threads, 1, size()), std::memory_order_relaxed);
}

void ThreadPool::run(int n_parts, FunctionRef<void(int part, int worker)> fn) {
  if (n_parts <= 0) return;
  if (n_parts == 1 || active() == 1) {  // nothing to share
    for (int i = 0; i < n_parts; ++i) fn(i, 0);
    return;
  }
  impl_->fn = &fn;
  impl_->n_parts = n_parts;
  impl_->next.store(0, std::memory_order_relaxed);
  impl_->advance();  // open
  impl_->take_parts(0);
  impl_->generation.fetch_add(1, std::memory_order_seq_cst);  // closed: nobody needs to be woken for that
  impl_->wait_for_workers();
}

}  // namespace quipu
