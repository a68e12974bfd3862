// Jobs that take longer than a server's own thread may be held up: reading a request, rendering its template,
// tokenising it. Most take milliseconds and start in the order they came. A job that turns out to take long
// gives its place up: others start beside it, and it goes on as the least important thread there is. So what
// a hostile template can do to others is bounded, and threads are only there while there is work.
//
// Threads: post() from any thread; stop() from none of the queue's own.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <list>
#include <mutex>
#include <thread>

namespace quipu::runner {

class WorkQueue {
 public:
  static constexpr size_t kPlaces = 4;      // jobs at a time that have a place
  static constexpr size_t kMaxThreads = 8;  // with those that gave theirs up

  // A job's hold on its place, while it runs.
  class Place {
   public:
    // Lets another job start. Once given up it is gone; a second call does nothing.
    void give_up();

   private:
    friend class WorkQueue;
    explicit Place(WorkQueue& queue) : queue_(queue) {}
    WorkQueue& queue_;
    bool held_ = true;
  };
  using Job = std::function<void(Place&)>;

  WorkQueue() = default;
  ~WorkQueue() { stop(); }
  WorkQueue(const WorkQueue&) = delete;
  WorkQueue& operator=(const WorkQueue&) = delete;

  // A job must not throw. After stop() it is dropped.
  void post(Job job);

  // Waits for the jobs at work; those that still wait are dropped.
  void stop();

 private:
  void start_threads();  // these two with the lock
  bool may_start() const { return !jobs_.empty() && n_with_place_ < kPlaces; }
  void loop(std::list<std::thread>::iterator self);

  std::mutex mutex_;  // guards what follows
  std::condition_variable wake_, ended_;
  std::deque<Job> jobs_;
  size_t n_with_place_ = 0;          // jobs
  size_t n_idle_ = 0;                // threads
  std::list<std::thread> threads_;   // that work or wait
  std::list<std::thread> finished_;  // to be joined
  bool stopping_ = false;
};

}  // namespace quipu::runner
