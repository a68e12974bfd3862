// The engine's thread's half of the engine: which sequences run, who gets which rows of a step and which KV
// blocks.
//
// Sequences whose K and V are stored as the same types take their steps together; the types take turns.
//
// What they compute goes into the cache's prefix tree block by block, and before a sequence gets rows it
// takes from there what others have computed meanwhile. Of several that need the same block next only one
// gets rows, and the others wait for it: who that is, is decided anew in every step, so nobody waits for one
// that has gone.
//
// Threads: the engine's thread only, but for use() and counters().
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "engine/engine.h"
#include "engine/kv_caches.h"
#include "engine/sequence.h"

namespace quipu {

class Scheduler {
 public:
  struct Parts {
    const Model& model;
    ThreadPool& pool;
    std::unique_ptr<Workspace> workspace;
    std::vector<double*> hidden_sums;  // n_parallel times [n_embd]
    float* logits;                     // [n_parallel, n_vocab]
    std::span<Candidate> candidates;   // [n_vocab]
    KvCaches caches;                   // the engine's own types are there already
  };
  Scheduler(Parts parts, const EngineOptions& options);

  bool idle() const { return running_.empty() && paused_.empty(); }
  // When the next step makes sense, if nothing happens until then: all wait for memory that others have.
  std::optional<Clock::time_point> next_try() const;
  int64_t free_places() const {
    return options_.n_parallel - static_cast<int64_t>(running_.size() + paused_.size());
  }

  // An error (of making a cache of its types) is the sequence's end.
  void add(std::unique_ptr<Sequence> s);
  void cancel(uint64_t id);
  void end_all(StopReason reason);

  // One forward pass for everybody whose turn it is, and its tokens.
  void step();

  Result<void> fill(int64_t tokens, int64_t sequences);

  // When memory that nobody uses is to go back to the system, if nothing happens until then.
  std::optional<Clock::time_point> next_trim() const;
  void trim(Clock::time_point now);

  Engine::KvUse use() const;
  Engine::Counters counters() const;  // of those that wait only those that are paused here

 private:
  struct Slice {
    Sequence* sequence;
    int64_t n_rows;
    bool is_last;  // nothing is pending after it
  };
  using Owned = std::unique_ptr<Sequence>;

  // scheduler.cc: who runs, and a step
  void wait_for_memory(Owned s);
  void end_what_is_over();
  KvCache* whose_turn();
  std::vector<Slice> pick(const KvCache& home);
  Result<void> forward(const KvCache& home, const std::vector<Slice>& slices);
  void use_results(const std::vector<Slice>& slices);
  Owned remove(Sequence& s);
  void release(Sequence& s);
  void pause(Sequence& s);
  void leave(Sequence& s);
  void end(Sequence& s, StopReason reason);
  void fail(const std::vector<Slice>& slices, const Error& e);

  // scheduler_memory.cc: who gets which blocks
  void start_paused();
  bool start(Sequence& s);
  void catch_up(const KvCache& home);
  void reserve(std::vector<Slice>& slices);
  bool grow(CachedTokens& cache, int64_t n_tokens);
  uint64_t room() const;
  bool hold(uint64_t more_bytes) const;
  size_t give_back();
  bool ask(uint64_t more_bytes);
  bool give_way(uint64_t bytes);
  bool come_back();
  bool has_addresses(const KvCache& cache, const GroupBlocks& n) const;
  bool can_promise(const KvCache& cache, const GroupBlocks& n) const;
  bool evict_beside(uint64_t more_bytes);
  void count_use();

  const Model& model_;
  ThreadPool& pool_;
  std::unique_ptr<Workspace> workspace_;
  float* logits_;
  std::span<Candidate> candidates_;
  const EngineOptions& options_;
  const std::optional<Clock::duration> idle_trim_;
  const uint64_t ceiling_;  // bytes of the plan: what is cached does not reach beyond them

  KvCaches caches_;  // outlive those who hold blocks, below
  std::vector<double*> free_sums_;
  std::vector<Owned> running_;
  std::vector<Owned> paused_;  // new ones too, until there is memory for them; oldest first
  std::vector<CachedTokens> filler_;
  Clock::time_point last_use_ = Clock::now();  // of the blocks that are free now, at the latest
  bool gave_way_ = false;                      // to other models, and has not come back
  Clock::time_point next_try_{}, next_ask_{};  // while it gives way
  size_t last_turn_ = 0;                       // index of the cache that had the last step

  std::vector<Token> tokens_;
  std::vector<BatchSequence> sequences_;
  std::vector<int32_t> output_rows_;
  std::vector<HiddenSum> sums_;

  uint64_t n_preemptions_ = 0;
  std::atomic<uint64_t> in_use_{0}, cached_{0}, committed_{0}, planned_{0};
  std::atomic<uint64_t> n_running_{0}, n_paused_{0}, n_preempted_{0}, n_evicted_{0};
};

}  // namespace quipu
