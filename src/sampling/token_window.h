// The last tokens of a sequence, counted, and what the penalties make of a logit.
//
// Threads: one sequence, one thread at a time.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace quipu::sampling {

class TokenWindow {
 public:
  struct Count {
    int32_t id;
    int32_t count;
  };

  explicit TokenWindow(int64_t size) : size_(size) {}  // 0: remembers nothing

  void push(int32_t token);
  void push(std::span<const int32_t> tokens);  // a prompt: quicker than one by one

  std::span<const Count> counts() const { return counts_; }  // every token in the window once, ids rising

 private:
  void change(int32_t token, int32_t by);

  int64_t size_;
  std::vector<int32_t> tokens_;  // a ring once it is full; grows with use
  size_t oldest_ = 0;
  std::vector<Count> counts_;
};

// Spec: a token that occurred c > 0 times gets l <= 0 ? l * repeat : l / repeat, then less c * frequency +
// presence.
struct Penalties {
  float repeat = 1.0f;
  float presence = 0.0f;
  float frequency = 0.0f;
  std::span<const TokenWindow::Count> counts;  // empty when all of them are off

  bool off() const { return repeat == 1.0f && presence == 0.0f && frequency == 0.0f; }
  float apply(float logit, int32_t count) const {
    logit = logit <= 0.0f ? logit * repeat : logit / repeat;
    return logit - (static_cast<float>(count) * frequency + presence);
  }
};

}  // namespace quipu::sampling
