// A sequence that becomes one vector: the mean of its tokens' final normalised hidden states.
//
// Threads: as Sequence.
#pragma once

#include "engine/sequence.h"

namespace quipu {

class Embedding final : public Sequence {
 public:
  Embedding(uint64_t id, EmbedRequest request, int64_t n_embd);

  bool samples() const override { return false; }
  std::optional<StopReason> computed(std::span<float> logits, std::span<Candidate> memory) override;
  void finish(StopReason reason, uint64_t kv_bytes) override;
  void fail(Error e) override;

 private:
  EmbedRequest request_;
  const size_t n_embd_;
  std::vector<float> mean_;  // empty: not there yet
};

}  // namespace quipu
