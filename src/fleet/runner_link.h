// What is known of a loaded runner by whoever talks to it, on whatever thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "fleet/failure.h"

namespace quipu::fleet {

// Whether a runner has ended, and why where it was not asked to. Threads: any.
class RunnerEnd {
 public:
  void set(std::string why) {
    std::lock_guard lock(mutex_);
    ended_ = true;
    why_ = std::move(why);
    changed_.notify_all();
  }
  // Waits that long for it.
  bool wait(std::chrono::milliseconds most) const {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, most, [&] { return ended_; });
  }
  // After that; may be empty.
  std::string why() const {
    std::lock_guard lock(mutex_);
    return why_;
  }

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  bool ended_ = false;
  std::string why_;
};

// Does not change, but for the end.
struct RunnerLink {
  std::string socket_path;
  Json info;    // as GET /info
  Json memory;  // as GET /memory, just loaded
  std::shared_ptr<RunnerEnd> end = std::make_shared<RunnerEnd>();
};

}  // namespace quipu::fleet
