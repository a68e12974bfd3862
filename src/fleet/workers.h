// Threads for work that waits: as many as there is work at once.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace quipu::fleet {

// Threads: run() from any.
class Workers {
 public:
  Workers() = default;
  ~Workers();  // waits for everything that runs
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  // Runs it at once, on a thread that is free or on a new one. False: the system has no more threads, and
  // nothing happens. The work may not throw.
  bool run(std::function<void()> work);

 private:
  void loop();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> waiting_;  // never more than there are idle threads
  size_t idle_ = 0;
  bool ending_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace quipu::fleet
