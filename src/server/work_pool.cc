#include "server/work_pool.h"

#include <exception>
#include <utility>

#include "base/log.h"

namespace quipu::server {

WorkPool::WorkPool(int n_threads) {
  for (int i = 0; i < n_threads; ++i) threads_.emplace_back([this] { loop(); });
}

WorkPool::~WorkPool() {
  std::deque<std::function<void()>> dropped;
  {
    std::lock_guard lock(mutex_);
    ending_ = true;
    dropped.swap(waiting_);
  }
  changed_.notify_all();
  dropped.clear();  // whoever waits for it need not wait for what runs
  for (std::thread& t : threads_) t.join();
}

void WorkPool::post(std::function<void()> work) {
  {
    std::lock_guard lock(mutex_);
    if (ending_) return;
    waiting_.push_back(std::move(work));
  }
  changed_.notify_one();
}

void WorkPool::loop() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return ending_ || !waiting_.empty(); });
    if (ending_) return;
    std::function<void()> work = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    try {
      work();
    } catch (const std::exception& e) {
      spdlog::error("a request's work threw: {}", e.what());
    }
    work = nullptr;
    lock.lock();
  }
}

}  // namespace quipu::server
