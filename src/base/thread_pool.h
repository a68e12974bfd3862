// A persistent pool of threads for short parallel loops (a matrix product, an attention pass).
//
// run() hands out parts by an atomic counter, so a thread that the system has taken off its core holds up
// only the part it was working on: the caller and the others take the rest. Idle workers spin for a few
// microseconds (the gap between two operations of a forward pass), then sleep in the kernel: an idle pool
// uses no CPU. run() never waits for a worker that has not yet woken up; it waits only for parts that are
// being worked on, and gives up its own core while it does (spin, then sleep), so that with other work on the
// machine the speed drops in proportion.
//
// Threads: run() may be called from one thread at a time. fn must not throw and must not call run().
#pragma once

#include <memory>

#include "base/function_ref.h"
#include "base/result.h"

namespace quipu {

class ThreadPool {
 public:
  // n_threads >= 1 counts the caller: n_threads - 1 workers are started.
  static Result<std::unique_ptr<ThreadPool>> create(int n_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const;

  // Fewer threads for the coming runs; clamped to [1, size()].
  void set_active(int n_threads);
  int active() const;

  // Calls fn(part, worker) once for every part in [0, n_parts), worker in [0, size()): no two calls at a time
  // share a worker number, so per-worker scratch needs no lock. Returns when all parts are done.
  void run(int n_parts, FunctionRef<void(int part, int worker)> fn);

 private:
  struct Impl;
  explicit ThreadPool(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Threads worth starting: physical cores in this process's affinity mask, bounded by the cgroup's CPU quota
// (v1, v2), at least 1.
int default_thread_count();

}  // namespace quipu
