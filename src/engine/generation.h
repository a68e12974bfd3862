// A sequence that goes on: from a prompt to tokens, their text, and the reason why it ends.
//
// Threads: as Sequence.
#pragma once

#include <deque>
#include <memory>
#include <string>

#include "engine/sequence.h"
#include "sampling/sampler.h"
#include "sampling/stop.h"

namespace quipu {

class Generation final : public Sequence {
 public:
  // The prompt is not empty and fits n_ctx. `suppressed`: tokens that are never sampled; it and the tokenizer
  // (may be null) outlive this.
  Generation(uint64_t id, GenerateRequest request, int64_t n_ctx, std::unique_ptr<Sampler> sampler,
             const Tokenizer* tokenizer, std::span<const Token> suppressed);

  void start() override;
  bool samples() const override { return true; }
  bool make_context() override { return n_tokens() <= n_ctx_ || (may_shift_ && shift_context()); }
  std::optional<StopReason> computed(std::span<float> logits, std::span<Candidate> memory) override;
  void finish(StopReason reason, uint64_t kv_bytes) override;
  void fail(Error e) override;

 private:
  // A token's logprobs that wait for its text to go out.
  struct Unshown {
    uint64_t begin;  // where in the answer's text, in bytes
    Logprobs logprobs;
  };

  Token choose(std::span<float> logits, std::span<Candidate> memory);
  std::optional<StopReason> accept(Token token);
  void emit(const std::string& text, bool all = false);
  bool shift_context();

  GenerateRequest request_;
  const int64_t n_ctx_;
  const std::unique_ptr<Sampler> sampler_;
  const Tokenizer* const tokenizer_;
  const std::span<const Token> suppressed_;
  Utf8Stream utf8_;
  StopMatcher stops_;
  RepetitionGuard guard_;
  GenerateStats stats_;
  int64_t limit_;  // generated tokens at most
  bool may_shift_;
  std::optional<Clock::time_point> prefilled_;

  uint64_t decoded_ = 0, shown_ = 0;  // bytes of text that came out of utf8_, and that went out
  std::deque<Unshown> unshown_;
};

}  // namespace quipu
