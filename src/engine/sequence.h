// One request at work, as the scheduler sees it: tokens whose K and V have to be computed, the KV blocks that
// hold them, and how far it has come. What a request is for is its subclass's: generation.h, embedding.h.
//
// Threads: made by any thread; from then on the engine's thread only.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/kv_caches.h"
#include "engine/request.h"
#include "kv/block_table.h"
#include "kv/prefix_tree.h"
#include "sampling/candidates.h"

namespace quipu {

using Clock = std::chrono::steady_clock;

// Tokens and the KV blocks that hold them.
struct CachedTokens {
  std::vector<Token> tokens;  // tokens[i] is at position i; the first n_stored have K and V in `tables`
  int64_t n_stored = 0;
  KvCache* home = nullptr;                            // the cache that the blocks of `tables` belong to
  std::array<kv::BlockTable, kv::kMaxGroups> tables;  // of each group of layers
  kv::PrefixTree::Path path;    // which of them are others' too; of no tree: none ever are
  std::vector<int64_t> points;  // see kv::PrefixTree::Text

  // `shares`: with others who have the same tokens, now and later.
  void move_to(KvCache& cache, bool shares);
  // n more have K and V: they go into the tree. What no window reaches any more goes.
  void stored(int64_t n);
  // K and V after the first n tokens are forgotten, or all, if what is needed to go on from there has gone.
  void keep_first(int64_t n);
  kv::PrefixTree::Text text() { return {tokens, n_stored, tables, path, points}; }
  uint64_t bytes() const;  // that its blocks take
};

class Sequence {
 public:
  // The tokens are not empty.
  Sequence(uint64_t id, std::vector<Token> tokens, const RunLimits& limits);
  virtual ~Sequence() = default;
  Sequence(const Sequence&) = delete;
  Sequence& operator=(const Sequence&) = delete;

  uint64_t id() const { return id_; }  // a later request has a larger one
  const RunLimits& limits() const { return limits_; }
  const CachedTokens& cache() const { return cache_; }
  CachedTokens& cache() { return cache_; }

  int64_t n_tokens() const { return static_cast<int64_t>(cache_.tokens.size()); }
  // Tokens whose K and V are not stored yet.
  int64_t n_pending() const { return n_tokens() - cache_.n_stored; }
  bool out_of_time(Clock::time_point now) const { return now >= deadline_; }

  // It starts, or goes on after a pause, with what its cache has.
  virtual void start();
  // Gives its blocks away; what is not found again will be computed again.
  void pause();
  // K and V of n more of its tokens were there already.
  void found(int64_t n);

  // True: it wants the logits of its last token. False: the sum of all hidden states, which are needed then
  // from the first token on, whatever is cached.
  virtual bool samples() const = 0;
  double* hidden_sum() const { return hidden_sum_; }
  void set_hidden_sum(double* sum) { hidden_sum_ = sum; }  // the scheduler's memory, while it runs

  // Before another step: false when the context is full and nothing can be done about it.
  virtual bool make_context() { return true; }

  // All its tokens have been computed. `logits` of the last one (empty for who does not sample) may be
  // changed, `memory` has room for every logit. The reason is set when the request ends here.
  virtual std::optional<StopReason> computed(std::span<float> logits, std::span<Candidate> memory) = 0;

  // The end of the request; exactly one of them is called.
  virtual void finish(StopReason reason, uint64_t kv_bytes) = 0;
  virtual void fail(Error e) = 0;

 protected:
  CachedTokens cache_;
  const Clock::time_point submitted_;
  std::optional<Clock::time_point> started_;
  int64_t n_found_ = 0;  // until it paused: what it computed itself does not count

 private:
  const uint64_t id_;
  const RunLimits limits_;
  const Clock::time_point deadline_;
  double* hidden_sum_ = nullptr;
  bool has_paused_ = false;
};

}  // namespace quipu
