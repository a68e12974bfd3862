// The engine's thread's half of the engine: which sequences run, who gets which rows of a step and which KV
// blocks.
//
// Threads: the engine's thread only, but for use().
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "engine/engine.h"
#include "engine/kept.h"
#include "engine/sequence.h"
#include "kv/block_pool.h"

namespace quipu {

class Scheduler {
 public:
  struct Parts {
    const Model& model;
    ThreadPool& pool;
    std::unique_ptr<Workspace> workspace;
    float* logits;                    // [n_parallel, n_vocab]
    std::span<Candidate> candidates;  // [n_vocab]
    std::unique_ptr<kv::BlockPool> blocks;
  };
  Scheduler(Parts parts, const EngineOptions& options);

  kv::BlockPool& blocks() { return *blocks_; }
  bool idle() const { return running_.empty() && paused_.empty(); }
  bool has_place() const {
    return static_cast<int64_t>(running_.size() + paused_.size()) < options_.n_parallel;
  }

  void add(std::unique_ptr<Sequence> s);
  void cancel(uint64_t id);
  void end_all(StopReason reason);

  // One forward pass for everybody, and its tokens.
  void step();

  Result<void> fill(int64_t tokens, int64_t sequences);

  // When memory that nobody uses is to go back to the system, if nothing happens until then.
  std::optional<Clock::time_point> next_trim() const;
  void trim(Clock::time_point now);

  Engine::KvUse use() const;

 private:
  struct Slice {
    Sequence* sequence;
    int64_t n_rows;
    bool samples;  // its last row's logits are wanted
  };
  using Owned = std::unique_ptr<Sequence>;

  void end_what_is_over();
  void start_paused();
  bool start(Sequence& s);
  std::vector<Slice> pick();
  void reserve(std::vector<Slice>& slices);
  bool grow(CachedTokens& cache, int64_t n_tokens);
  int64_t available_blocks() const;
  int64_t promised_blocks() const;
  Result<void> forward(const std::vector<Slice>& slices);
  void sample(const std::vector<Slice>& slices);
  Owned remove(Sequence& s);
  void pause(Sequence& s);
  void end(Sequence& s, StopReason reason);
  void fail_all(const Error& e);
  void count_use();

  const Model& model_;
  ThreadPool& pool_;
  std::unique_ptr<Workspace> workspace_;
  float* logits_;
  std::span<Candidate> candidates_;
  const EngineOptions& options_;
  const std::optional<Clock::duration> idle_trim_;
  const kv::KvLayout layout_;

  std::unique_ptr<kv::BlockPool> blocks_;  // outlives those who hold blocks, below
  std::vector<Owned> running_;
  std::vector<Owned> paused_;  // new ones too, until there is memory for them; oldest first
  KeptConversations kept_;
  std::vector<CachedTokens> filler_;
  Clock::time_point last_use_ = Clock::now();  // of the blocks that are free now, at the latest

  std::vector<Token> tokens_;
  std::vector<BatchSequence> sequences_;
  std::vector<int32_t> output_rows_;
  std::vector<uint32_t> counted_;  // [block]: the count in which it was counted last
  uint32_t n_counts_ = 0;

  std::atomic<uint64_t> in_use_{0}, cached_{0}, committed_{0};
};

}  // namespace quipu
