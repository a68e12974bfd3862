// How long the making of a prompt may take: it ends when the client hangs up or after a while, and says so
// when it is no longer short, so that others need not wait for it.
//
// Threads: the job's own.
#pragma once

#include <chrono>
#include <functional>

#include "base/result.h"

namespace quipu::runner {

class Patience {
 public:
  static constexpr std::chrono::milliseconds kShort{100};
  static constexpr std::chrono::milliseconds kMost{10'000};

  // on_long: called, perhaps often, once it is no longer short. gone: whether the client has hung up.
  Patience(std::function<void()> on_long, std::function<bool()> gone)
      : on_long_(std::move(on_long)), gone_(std::move(gone)) {}

  // What follows is not short, whatever the clock says.
  void takes_long() { on_long_(); }

  bool gone() const { return gone_(); }

  // Asked now and then while it lasts. Once true it stays true.
  bool over() {
    if (ended_) return true;
    const auto taken = std::chrono::steady_clock::now() - began_;
    if (taken > kShort) on_long_();
    ended_ = taken > kMost || gone_();
    return ended_;
  }

  // The error of what ended so.
  Result<void> check() {
    if (!over()) return {};
    if (gone_()) return error(Code::kCancelled, "the client has hung up");
    return error(Code::kCorrupt, "the chat template takes more than {} seconds", kMost.count() / 1000);
  }

 private:
  const std::function<void()> on_long_;
  const std::function<bool()> gone_;
  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  bool ended_ = false;
};

}  // namespace quipu::runner
