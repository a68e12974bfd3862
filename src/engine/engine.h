// Continuous batching: one loop that gives every running sequence its share of each forward pass.
//
// A step takes one row of every sequence that is decoding and fills the batch (256 rows; 48 while somebody
// decodes, who has to wait for it) with prefill, shared evenly among the sequences that still have prompt to
// read, so nobody waits for another's long prompt. Embeddings are prefill like any other. A step is of
// sequences with the same KV types; where there are several, they take turns.
//
// What is computed stays in the cache, block by block (kv/prefix_tree.h): whoever starts with the same tokens
// goes on from there. A further turn of a conversation computes only what is new, and what several requests
// have in common is computed and held once, also when they arrive together. Together with what runs it takes
// no more than n_parallel contexts of n_ctx tokens, unless requests that run need more.
//
// When the cache may not grow: what is cached and not in use is dropped, least recently used first; then new
// requests wait; then the youngest of several sequences pauses, gives its blocks away and is computed again
// later, with the same result; a sequence that is alone ends with StopReason::kMemory.
//
// Threads: submit(), cancel() and the getters from any thread. Everything else happens on the engine's own
// thread, which sleeps when there is nothing to do.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "engine/request.h"
#include "memory/ledger.h"
#include "model/model.h"

namespace quipu {

struct EngineOptions {
  int64_t n_ctx = 0;       // of one sequence, where a request does not say; at least 1
  int64_t n_parallel = 4;  // sequences at once; more wait
  int64_t max_waiting = 512;
  KvTypes kv_types{};
  bool keep_prefixes = true;  // false: nothing is kept and nothing shared
  // Cached and free blocks go back to the system after this many seconds without use; 0: never.
  double idle_trim_seconds = 60;
  uint64_t kv_budget =
      std::numeric_limits<uint64_t>::max();  // bytes of KV cache at most, whatever the contexts ask for
  std::vector<Token> suppressed{};           // tokens that are never sampled
  // Bytes by which the cache may grow now; asked before it does. Absent: as far as the budget and the system
  // give.
  std::function<uint64_t()> kv_room{};
  // The cache wants to have so many bytes in all: asked before it grows, said after it shrank. False: it may
  // not grow. Absent: it may.
  std::function<bool(uint64_t bytes)> kv_hold{};
  // Whoever else has memory is to make room for so many bytes more, before a sequence pauses or ends for want
  // of them; waits until that is done. True: it is worth another look. Absent: there is nobody.
  std::function<bool(uint64_t bytes)> kv_ask{};
  // Nothing can run, for want of so many bytes of cache in all, and asking has not helped. True: they can
  // come when others are done; until kv_back is true nothing starts. False, or absent: they cannot.
  std::function<bool(uint64_t bytes)> kv_give_way{};
  std::function<bool()> kv_back{};  // there with kv_give_way
  // A sequence paused for want of memory. Absent: counted in counters() alone.
  std::function<void()> on_preemption{};
};

class Engine {
 public:
  // The model, tokenizer (may be null: then answers have no text), pool, workspace and ledger must outlive
  // the engine. output: as many bytes as the plan has for Category::kOutput, aligned to 64.
  static Result<std::unique_ptr<Engine>> create(const Model& model, const Tokenizer* tokenizer,
                                                ThreadPool& pool, std::unique_ptr<Workspace> workspace,
                                                std::span<std::byte> output, EngineOptions options,
                                                memory::Ledger& ledger);
  ~Engine();  // cancels what runs

  // The request's id. Errors: an empty prompt, tokens out of range, options out of range, a prompt that does
  // not fit its context, a full queue. What an earlier request's callback submits waits behind all others.
  Result<uint64_t> submit(GenerateRequest request);
  Result<uint64_t> submit(EmbedRequest request);
  void cancel(uint64_t id);  // ends the request with kCancelled within one step; unknown ids are ignored

  const EngineOptions& options() const;
  uint64_t kv_block_bytes() const;  // of the engine's own types

  struct KvUse {
    uint64_t in_use = 0;     // bytes of running sequences, what they share counted once
    uint64_t cached = 0;     // bytes that nobody uses now, kept for who comes with the same tokens
    uint64_t committed = 0;  // bytes of the pools' blocks that have memory
    uint64_t planned = 0;    // the same by the plan: those blocks, each as large as memory::plan() has it
  };
  KvUse kv_use() const;

  struct Counters {
    uint64_t running = 0;
    uint64_t waiting = 0;         // in the queue, or for memory
    uint64_t preemptions = 0;     // so far: sequences that paused for want of memory
    uint64_t evicted_blocks = 0;  // so far: what was cached and had to go, for memory or unused too long
  };
  Counters counters() const;

  // For memory tests: commits and touches blocks for `sequences` x `tokens`, holding them until called with
  // 0.
  Result<void> fill(int64_t tokens, int64_t sequences);

 private:
  class Impl;
  explicit Engine(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace quipu
