// How probable the model itself finds a token: the log-softmax of its raw logits, before penalties,
// temperature and whatever else changes the choice.
//
// Threads: pure, but for the memory they are given.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sampling/candidates.h"

namespace quipu {

struct TokenLogprob {
  int32_t id;
  float logprob;
};

// Of one token of an answer.
struct Logprobs {
  TokenLogprob token;
  std::vector<TokenLogprob> top;  // as many as were asked for, the most probable first
};

namespace sampling {

// NaN counts as minus infinity, plus infinity as the largest number. The sum runs over the ids in order.
class LogSoftmax {
 public:
  // In place of minus infinity, which JSON cannot say; as OpenAI's interface has it.
  static constexpr float kLeast = -9999.0f;

  explicit LogSoftmax(std::span<const float> logits);

  float operator()(float logit) const;

 private:
  float max_;
  double log_sum_ = 0;
};

// The n best tokens, equal ones by id. `memory` has room for every logit.
std::vector<TokenLogprob> most_probable(std::span<const float> logits, const LogSoftmax& softmax, int n,
                                        std::span<Candidate> memory);

}  // namespace sampling
}  // namespace quipu
