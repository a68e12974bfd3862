#include "fleet/workers.h"

#include <system_error>
#include <utility>

namespace quipu::fleet {

Workers::~Workers() {
  {
    std::lock_guard lock(mutex_);
    ending_ = true;
    changed_.notify_all();
  }
  for (std::thread& thread : threads_) thread.join();
}

bool Workers::run(std::function<void()> work) {
  std::lock_guard lock(mutex_);
  if (waiting_.size() >= idle_) {
    try {
      threads_.reserve(threads_.size() + 1);
      threads_.emplace_back([this] { loop(); });
    } catch (const std::system_error&) {
      return false;
    }
    ++idle_;  // it will be
  }
  waiting_.push_back(std::move(work));
  changed_.notify_one();
  return true;
}

void Workers::loop() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return ending_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    auto work = std::move(waiting_.front());
    waiting_.pop_front();
    --idle_;
    lock.unlock();
    work();
    work = nullptr;
    lock.lock();
    ++idle_;
  }
}

}  // namespace quipu::fleet
