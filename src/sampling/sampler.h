// The sampler chain of one sequence: penalties, top_k, typical_p, top_p, min_p, temperature, draw, in that
// order (so the truncating steps see the probabilities without temperature). Equal logits are ordered by
// token id, and every function on the way is our own: what comes out depends on logits, options and seed
// alone, on every machine.
//
// Threads: one sequence, one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "base/result.h"
#include "sampling/candidates.h"
#include "sampling/options.h"

namespace quipu {

class Sampler {
 public:
  // n_ctx resolves repeat_last_n = -1. The error for an option without meaning names it.
  static Result<std::unique_ptr<Sampler>> create(const SamplingOptions& options, int64_t n_ctx);
  virtual ~Sampler() = default;

  // Tells the sampler which tokens are part of the sequence (of the prompt, and sampled ones), for the
  // penalties.
  virtual void accept(std::span<const int32_t> tokens) = 0;
  void accept(int32_t token) { accept(std::span(&token, 1)); }

  // Chooses from logits [n_vocab], which stay as they are. `memory` [n_vocab] is overwritten: all samplers of
  // a thread may use the same. NaN counts as minus infinity; where nothing is above that, the smallest id is
  // taken.
  virtual int32_t sample(std::span<const float> logits, std::span<Candidate> memory) = 0;

  virtual uint32_t seed() const = 0;  // in use: the drawn one where the options have -1
};

}  // namespace quipu
