// What one parse or one render may use: steps, nesting, native stack, bytes. Templates are hostile input.
//
// Threads: one Budget belongs to one parse or render, on one thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include "chat/jinja.h"
#include "chat/jinja/failure.h"
#include "chat/native_stack.h"
#include "chat/stop_question.h"

namespace quipu::jinja {

class Budget {
 public:
  // All values alive at once may take this many times the limit for one of them.
  static constexpr uint64_t kLiveFactor = 4;
  // Bytes that one step may copy or search: about what an evaluated node costs.
  static constexpr uint64_t kBytesPerStep = 64;

  Budget(const Limits& limits, int max_depth, StopQuestion stop = {})
      : limits_(limits), max_depth_(max_depth), stop_(stop) {}
  Budget(const Budget&) = delete;
  Budget& operator=(const Budget&) = delete;

  void step(uint64_t n = 1) {
    steps_ += n;
    if (steps_ > limits_.max_steps) [[unlikely]]
      fail(Fault::kLimit, "the template takes more than {} steps", limits_.max_steps);
    if (stop_.is_due(steps_) && stop_.ask(steps_)) [[unlikely]]
      fail(Fault::kLimit, "the template was stopped");
  }
  // Work that is proportional to a number of bytes.
  void work(uint64_t bytes) { step(1 + bytes / kBytesPerStep); }

  // A single string or list of that many bytes is about to be built.
  void check_size(uint64_t bytes) const {
    if (bytes > limits_.max_output_bytes) [[unlikely]]
      fail(Fault::kLimit, "the template builds a value of more than {} bytes", limits_.max_output_bytes);
  }
  void hold(uint64_t bytes) {
    if (bytes > kLiveFactor * limits_.max_output_bytes - live_) [[unlikely]]
      fail(Fault::kLimit, "the template's values take more than {} bytes",
           kLiveFactor * limits_.max_output_bytes);
    live_ += bytes;
  }
  void drop(uint64_t bytes) noexcept { live_ -= bytes < live_ ? bytes : live_; }

  void check_stack() const {
    if (stack_.exhausted()) [[unlikely]]
      too_deep();
  }
  void enter() {
    check_stack();
    if (++depth_ > max_depth_) [[unlikely]] {
      --depth_;
      too_deep();
    }
  }
  void leave() noexcept { --depth_; }

  const Limits& limits() const { return limits_; }

 private:
  [[noreturn]] static void too_deep() { fail(Fault::kLimit, "the template nests too deeply"); }

  const Limits limits_;
  const int max_depth_;
  StopQuestion stop_;
  const NativeStack stack_;
  uint64_t steps_ = 0;
  uint64_t live_ = 0;
  int depth_ = 0;
};

// One level of nesting, for as long as it lives.
class Nested {
 public:
  explicit Nested(Budget& budget) : budget_(budget) { budget_.enter(); }
  ~Nested() { budget_.leave(); }
  Nested(const Nested&) = delete;
  Nested& operator=(const Nested&) = delete;

 private:
  Budget& budget_;
};

}  // namespace quipu::jinja
