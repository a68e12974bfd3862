// What one execution may use: steps, bytes, native stack.
//
// Threads: one Budget belongs to one execution, on one thread.
#pragma once

#include <cstdint>

#include "chat/go/failure.h"
#include "chat/go/limits.h"
#include "chat/native_stack.h"
#include "chat/stop_question.h"

namespace quipu::gotmpl {

class Budget {
 public:
  static constexpr uint64_t kBytesPerStep = 64;
  // All strings alive at once may take this many times the limit for one of them.
  static constexpr uint64_t kLiveFactor = 4;

  explicit Budget(const Limits& limits, StopQuestion stop = {}) : limits_(limits), stop_(stop) {}
  Budget(const Budget&) = delete;
  Budget& operator=(const Budget&) = delete;

  void step(uint64_t n = 1) {
    steps_ += n;
    if (steps_ > limits_.max_steps) [[unlikely]]
      fail("the template takes more than {} steps", limits_.max_steps);
    if (stop_.is_due(steps_) && stop_.ask(steps_)) [[unlikely]]
      fail("the template was stopped");
  }
  // A text is about to grow from `size` by `more` bytes.
  void grow(uint64_t size, uint64_t more) {
    step(more / kBytesPerStep);
    if (more > limits_.max_output_bytes || size > limits_.max_output_bytes - more) [[unlikely]]
      fail("the template makes a text of more than {} bytes", limits_.max_output_bytes);
  }
  void hold(uint64_t bytes) {
    if (bytes > kLiveFactor * limits_.max_output_bytes - live_) [[unlikely]]
      fail("the template keeps more than {} bytes of text", kLiveFactor * limits_.max_output_bytes);
    live_ += bytes;
  }
  void drop(uint64_t bytes) noexcept { live_ -= bytes; }

  void check_stack() const {
    if (stack_.exhausted()) [[unlikely]]
      fail("the template nests too deeply");
  }

 private:
  const Limits limits_;
  StopQuestion stop_;
  const NativeStack stack_;
  uint64_t steps_ = 0;
  uint64_t live_ = 0;
};

}  // namespace quipu::gotmpl
