// The sampler chain of one sequence: penalties, top_k, typical_p, top_p, min_p, temperature, draw. Spec:
// gguf-and-models 7.1, 7.2. Equal logits are ordered by token id, so a result depends on logits, options and seed only.
//
// Threads: one sequence, one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "sampling/options.h"

namespace quipu {

class Sampler {
 public:
  // n_ctx resolves repeat_last_n = -1. Options out of range (NaN, negative temperature, ...) are an error that names the
  // option.
  static Result<std::unique_ptr<Sampler>> create(const SamplingOptions& options, int64_t n_ctx);
  virtual ~Sampler() = default;

  // Tells the sampler a token is part of the sequence (prompt tokens and sampled ones), for the penalties.
  virtual void accept(int32_t token) = 0;

  // Chooses from logits [n_vocab]; they are not changed. NaN counts as minus infinity; if nothing finite is left, the
  // smallest id is taken.
  virtual int32_t sample(std::span<const float> logits) = 0;

  // The seed in use (the drawn one when seed was negative).
  virtual uint32_t seed() const = 0;
};

}  // namespace quipu
