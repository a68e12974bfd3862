// When a runner has to end: its standard input closes (whoever started it has gone), or SIGTERM, SIGINT or
// SIGHUP comes.
//
// While the model loads there is nothing to clean up, and a load may take long: the process ends at once.
// From serving() on, wait() returns instead.
//
// Threads: made before any other thread, since those inherit the blocked signals; used from one thread.
#pragma once

#include <atomic>
#include <memory>
#include <thread>

#include "base/result.h"

namespace quipu::runner {

class EndWatch {
 public:
  static Result<std::unique_ptr<EndWatch>> start();
  ~EndWatch();
  EndWatch(const EndWatch&) = delete;
  EndWatch& operator=(const EndWatch&) = delete;

  void serving() { serving_ = true; }
  void wait();

 private:
  EndWatch() = default;
  void watch();

  int signals_ = -1;        // signalfd
  int stop_[2] = {-1, -1};  // a pipe: its end closing ends the thread
  std::atomic<bool> serving_{false};
  std::thread thread_;
};

}  // namespace quipu::runner
