// One request at work: its tokens, its KV blocks, its sampler, and how far it has come.
//
// Threads: made by any thread; from then on the engine's thread only.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/request.h"
#include "kv/block_table.h"
#include "sampling/sampler.h"
#include "sampling/stop.h"

namespace quipu {

using Clock = std::chrono::steady_clock;

// Tokens and the KV blocks that hold them: what outlives a request, so that the next turn of a conversation
// finds it.
struct CachedTokens {
  std::vector<Token> tokens;  // tokens[i] is at position i; the first n_stored have K and V in `table`
  int64_t n_stored = 0;
  kv::BlockTable table;
  Clock::time_point last_used;

  explicit CachedTokens(kv::BlockPool& pool) : table(pool) {}
};

class Sequence {
 public:
  // The prompt is not empty and fits n_ctx.
  Sequence(uint64_t id, GenerateRequest request, int64_t n_ctx, std::unique_ptr<Sampler> sampler,
           const Tokenizer* tok, kv::BlockPool& pool);

  uint64_t id() const { return id_; }  // a later request has a larger one
  const CachedTokens& cache() const { return cache_; }
  CachedTokens& cache() { return cache_; }
  Sampler& sampler() { return *sampler_; }
  const GenerateOptions& options() const { return request_.options; }

  int64_t n_tokens() const { return static_cast<int64_t>(cache_.tokens.size()); }
  // Tokens whose K and V are not stored yet. More than one: still in prefill.
  int64_t n_pending() const { return n_tokens() - cache_.n_stored; }

  // It starts, or goes on after a pause, with K and V of its first n_stored tokens in `table`.
  void start(kv::BlockTable table, int64_t n_stored);
  // Gives its blocks away; they will be computed again.
  void pause();

  // Takes a sampled token: text goes out, and the reason is set when the answer ends here.
  std::optional<StopReason> accept(Token token);

  bool out_of_time(Clock::time_point now) const { return now >= deadline_; }

  // Before another step: false when the context is full and may not be shifted. Shifts it if it may.
  bool make_context();

  // Ends the request: remaining text, statistics, on_done.
  void finish(StopReason reason, uint64_t kv_bytes);
  void fail(Error e);

 private:
  void emit(const std::string& text);
  bool shift_context();

  uint64_t id_;
  GenerateRequest request_;
  int64_t n_ctx_;
  std::unique_ptr<Sampler> sampler_;
  const Tokenizer* tokenizer_;
  CachedTokens cache_;
  Utf8Stream utf8_;
  StopMatcher stops_;
  RepetitionGuard guard_;
  GenerateStats stats_;
  int64_t limit_;  // generated tokens at most
  bool may_shift_;
  Clock::time_point submitted_, deadline_;
  std::optional<Clock::time_point> started_, prefilled_;
};

}  // namespace quipu
