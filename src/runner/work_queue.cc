#include "runner/work_queue.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <system_error>

#include "base/log.h"

namespace quipu::runner {

namespace {

// A thread keeps waiting for more work for so long; the last one for ever.
constexpr std::chrono::seconds kIdle{2};

constexpr int kLowPriority = 10;  // a tenth of what a thread of the engine gets, where both want a core

}  // namespace

void WorkQueue::Place::give_up() {
  if (!held_) return;
  held_ = false;
  // Of this thread alone, and for good: it ends with the job.
  setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), kLowPriority);
  const std::lock_guard lock(queue_.mutex_);
  --queue_.n_with_place_;
  queue_.start_threads();
  queue_.wake_.notify_one();
}

void WorkQueue::post(Job job) {
  const std::lock_guard lock(mutex_);
  if (stopping_) return;
  jobs_.push_back(std::move(job));
  start_threads();
  wake_.notify_one();
}

// Enough threads for the jobs that may start now.
void WorkQueue::start_threads() {
  if (stopping_) return;
  const size_t startable = std::min(kPlaces - std::min(kPlaces, n_with_place_), jobs_.size());
  while (n_idle_ < startable && threads_.size() < kMaxThreads) {
    const auto at = threads_.emplace(threads_.end());
    try {
      *at = std::thread([this, at] { loop(at); });
    } catch (const std::system_error& e) {  // tried again with the next job
      threads_.erase(at);
      spdlog::warn("there is no further thread for requests: {}", e.what());
      return;
    }
    ++n_idle_;
  }
}

void WorkQueue::loop(std::list<std::thread>::iterator self) {
  std::unique_lock lock(mutex_);
  for (bool keeps_place = true; keeps_place;) {
    const auto awake = [this] { return stopping_ || may_start(); };
    if (threads_.size() == 1)
      wake_.wait(lock, awake);
    else if (!wake_.wait_for(lock, kIdle, awake))
      break;
    if (stopping_) break;
    for (std::thread& t : finished_) t.join();  // they are past the lock
    finished_.clear();
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    --n_idle_;
    ++n_with_place_;
    lock.unlock();
    Place place(*this);
    job(place);
    job = nullptr;  // what it holds goes before the lock is taken again
    lock.lock();
    ++n_idle_;
    keeps_place = place.held_;
    if (!keeps_place) continue;
    --n_with_place_;
    if (may_start()) wake_.notify_one();
  }
  --n_idle_;
  finished_.splice(finished_.end(), threads_, self);
  start_threads();
  ended_.notify_all();
}

void WorkQueue::stop() {
  {
    std::deque<Job> dropped;
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    dropped.swap(jobs_);
    wake_.notify_all();
  }
  std::list<std::thread> ended;
  {
    std::unique_lock lock(mutex_);
    ended_.wait(lock, [this] { return threads_.empty(); });
    ended.swap(finished_);
  }
  for (std::thread& t : ended) t.join();
}

}  // namespace quipu::runner
