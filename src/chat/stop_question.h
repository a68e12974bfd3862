// Whether a rendering is to end early: whoever wants the prompt is asked now and then, as steps go by.
//
// Threads: as the budget it is part of.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>

namespace quipu {

class StopQuestion {
 public:
  static constexpr uint64_t kSteps = 4096;  // between two questions; less than a millisecond

  // May be empty: never. What it refers to must outlive this.
  explicit StopQuestion(const std::function<bool()>& stop) : stop_(stop ? &stop : nullptr) {}
  StopQuestion() = default;

  // After `steps` in all.
  bool is_due(uint64_t steps) const { return steps > next_; }
  bool ask(uint64_t steps) {
    next_ = stop_ == nullptr ? UINT64_MAX : steps + kSteps;
    return stop_ != nullptr && (*stop_)();
  }

 private:
  const std::function<bool()>* stop_ = nullptr;
  uint64_t next_ = 0;
};

}  // namespace quipu
