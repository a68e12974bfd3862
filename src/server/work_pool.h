// A few threads for work that reads files or large bodies: the server's own thread must not wait for either.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace quipu::server {

// Threads: post() from any. Work is begun in the order in which it was posted. What it throws (memory has run
// out) ends that work alone, with a line in the log.
class WorkPool {
 public:
  explicit WorkPool(int n_threads);
  ~WorkPool();  // waits for what runs; what has not begun is dropped
  WorkPool(const WorkPool&) = delete;
  WorkPool& operator=(const WorkPool&) = delete;

  void post(std::function<void()> work);

 private:
  void loop();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> waiting_;
  bool ending_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace quipu::server
