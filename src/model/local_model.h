// A model opened in this process with memory of its own: what tools and tests compute with, without an
// engine.
//
// Threads: one.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "gguf/file.h"
#include "kv/block_pool.h"
#include "kv/block_table.h"
#include "memory/arena.h"
#include "memory/plan.h"
#include "model/model.h"

namespace quipu {

struct LocalOptions {
  int64_t n_ctx = 0;  // tokens a sequence may grow to; 0: the model's trained length
  int64_t n_sequences = 1;
  int64_t n_outputs = 1;  // rows of logits at once
  KvTypes kv_types;
  int n_threads = 0;              // 0: one per physical core
  int64_t chunk = kMaxBatchRows;  // rows of a prefill batch
  bool exact_activations = false;
};

// A file that shrinks under the map ends the process with a sentence (gguf::guard_mappings).
class LocalModel {
 public:
  static Result<std::unique_ptr<LocalModel>> open(const std::string& path, LocalOptions options);

  const gguf::File& file() const { return *file_; }
  const Model& model() const { return *model_; }
  ThreadPool& pool() { return *pool_; }
  int64_t n_ctx() const { return options_.n_ctx; }
  const memory::MemoryPlan& plan() const { return plan_; }
  uint64_t kv_block_bytes() const { return model_->kv_block_bytes(options_.kv_types); }

  // Appends tokens to sequence 0 in chunks of the batch; `each` gets the logits of every token from index
  // `first_output` of `tokens` on, in order.
  using EachRow = std::function<void(int64_t index, std::span<const float> logits)>;
  Result<void> feed(std::span<const int32_t> tokens, int64_t first_output, const EachRow& each);

  // One token for each of the first n sequences, all in one batch. logits [n, n_vocab].
  Result<const float*> step(std::span<const int32_t> tokens);

  // Tokens for several sequences in one batch (256 rows at most); logits of the rows asked for, in their
  // order.
  struct Part {
    size_t sequence;
    std::span<const int32_t> tokens;
  };
  Result<const float*> run(std::span<const Part> parts, std::span<const int32_t> output_rows);

  // Appends tokens to one sequence without computing logits.
  Result<void> prefill(size_t sequence, std::span<const int32_t> tokens);

  int64_t position(size_t sequence) const { return positions_[sequence]; }
  void rewind(size_t sequence, int64_t n_tokens);  // forgets everything after the first n_tokens

 private:
  LocalModel() = default;
  Result<void> reserve(size_t sequence, int64_t n_more);
  BatchSequence rows(size_t sequence, int64_t row0, int64_t n_rows) const;
  Result<void> forward(std::span<const int32_t> tokens, std::span<const BatchSequence> seqs,
                       std::span<const int32_t> outputs);

  LocalOptions options_;
  memory::Ledger ledger_;
  memory::MemoryPlan plan_;
  std::unique_ptr<gguf::File> file_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<ThreadPool> pool_;
  std::vector<kv::KvLayout> layouts_;
  std::vector<std::unique_ptr<kv::BlockPool>> blocks_;  // of each group
  // [sequence][group]; whole, also behind windows, so that rewind() can go anywhere.
  std::vector<std::vector<kv::BlockTable>> tables_;
  std::vector<int64_t> positions_;
  memory::Arena workspace_arena_, output_arena_;
  std::unique_ptr<Workspace> workspace_;
  float* logits_ = nullptr;
};

}  // namespace quipu
