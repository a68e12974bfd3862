// One request at work: its tokens, its KV blocks, its sampler, and how far it has come.
//
// Threads: the engine's thread only.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/request.h"
#include "kv/block_table.h"
#include "sampling/sampler.h"
#include "sampling/stop.h"

namespace quipu {

using Clock = std::chrono::steady_clock;

// Tokens and the KV blocks that hold them: what outlives a request, so that the next turn of a conversation finds it.
struct CachedTokens {
  std::vector<Token> tokens;  // tokens[i] is at position i; the first n_stored have K and V in `table`
  int64_t n_stored = 0;
  kv::BlockTable table;
  Clock::time_point last_used;

  explicit CachedTokens(kv::BlockPool& pool) : table(pool) {}
};

class Sequence {
 public:
  Sequence(uint64_t id, GenerateRequest request, int64_t n_ctx, std::unique_ptr<Sampler> sampler, const Tokenizer* tok,
           CachedTokens cache);

  uint64_t id() const { return id_; }
  CachedTokens& cache() { return cache_; }
  Sampler& sampler() { return *sampler_; }
  const GenerateOptions& options() const { return request_.options; }
  int64_t n_ctx() const { return n_ctx_; }

  // Tokens whose K and V are not stored yet. More than one: still in prefill.
  int64_t n_pending() const { return static_cast<int64_t>(cache_.tokens.size()) - cache_.n_stored; }

  // Takes a sampled token: text goes out, and the reason is set when the answer ends here.
  std::optional<StopReason> accept(Token token);

  // The reason to end before another step: time, or a full context that cannot shift. Shifts the context if it may.
  std::optional<StopReason> before_step();

  // Ends the request: remaining text, statistics, on_done. The cache stays to be taken.
  void finish(StopReason reason);
  void fail(Error e);

  void note_prefill_done();  // the clock changes from prompt to generation
  uint64_t kv_bytes = 0;

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
  int64_t limit_ = 0;  // generated tokens at most
  Clock::time_point start_, prefill_end_;
  bool prefilled_ = false;
};

}  // namespace quipu
