// The memory plan: what a model takes, in closed form, before anything is loaded. What is allocated later is
// allocated from this plan. Categories: weights (mapped file), projector, KV cache, workspace, output,
// runtime.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "memory/ledger.h"
#include "memory/machine.h"

namespace quipu::memory {

// K and V of the layers that keep the same tokens. Head sizes are as stored: padded to a multiple of 32.
struct KvGroup {
  int64_t n_layers = 0;
  int64_t n_kv_heads = 0;
  int64_t head_dim_k = 0;
  int64_t head_dim_v = 0;
  int64_t window = 0;  // tokens a windowed group keeps; 0: all
};

// Only the numbers that matter, filled by model/ from the file's header. Bytes are exact: what a kernel needs
// as scratch it says itself.
struct ModelShape {
  uint64_t weights_bytes = 0;  // all mapped file parts
  uint64_t projector_bytes = 0;
  uint64_t workspace_bytes = 0;  // for prefill chunks of `max_rows` rows and `n_threads` threads
  int64_t max_rows = 0;
  int n_threads = 0;
  int64_t n_vocab = 0;
  int64_t n_embd = 0;
  int64_t n_ctx_train = 0;
  uint64_t tokenizer_bytes = 0;  // tables built from the vocabulary
  std::vector<KvGroup> groups;
};

struct RuntimeOptions {
  int64_t n_ctx = 0;       // tokens of one sequence
  int64_t n_parallel = 1;  // sequences decoded at once
  // Bytes of 32 cached values: 64 for f16, 128 for f32.
  int64_t k_bytes_per_32 = 64;
  int64_t v_bytes_per_32 = 64;
  int64_t tokens_in_use = 0;  // what the KV line of the plan holds now; 0 at load
};

struct PlanLine {
  Category category;
  uint64_t bytes;
  std::string formula;  // how the number comes about, for people
};

// A group's part of the KV cache.
struct KvGroupPlan {
  uint64_t block_bytes = 0;  // 32 tokens
  int64_t window = 0;        // tokens it keeps; 0: all
};

struct MemoryPlan {
  std::vector<PlanLine> lines;
  std::vector<KvGroupPlan> kv_groups;
  uint64_t batch_blocks = 0;        // that a batch's rows may take beyond a window
  uint64_t kv_block_bytes = 0;      // 32 tokens of one sequence, all groups
  uint64_t kv_bytes_per_token = 0;  // kv_block_bytes / 32: of the first tokens, behind a window it is less
  uint64_t kv_ceiling = 0;          // n_parallel sequences of n_ctx tokens, and what a batch takes on top
  // One sequence of so many tokens, with its batch; and the longest that so many bytes hold, in whole blocks,
  // INT64_MAX / 32 blocks at most.
  uint64_t kv_of_sequence(int64_t n_tokens) const;
  int64_t tokens_within(uint64_t bytes) const;
  uint64_t total() const;  // all lines
  uint64_t fixed() const;  // all lines but the KV cache's
  uint64_t bytes(Category c) const;
};

// Pure. Sizes that overflow saturate at 2^63 (and fit nowhere).
MemoryPlan plan(const ModelShape& shape, const RuntimeOptions& options);

// The plan's charge against a budget: all lines, but KV for at least one sequence of min(n_ctx, 2048) tokens.
uint64_t charge(const MemoryPlan& p, const RuntimeOptions& options);
// min(n_ctx, 2048)
int64_t first_tokens(const RuntimeOptions& options);

enum class Fit { kYes, kTight, kNo };  // no: the charge exceeds the budget; tight: only the ceiling does
Fit fits(const MemoryPlan& p, const RuntimeOptions& options, uint64_t budget);
const char* fit_name(Fit f);  // "yes", "tight", "no"

// "model needs 2.6 GiB (weights 2.4 GiB, kv 180.0 MiB, ...), 1.9 GiB are free: try ...": why a plan does not
// fit, and what would. `advice`: as memory/alternatives.h gives it; where it is empty, what the machine would
// have to give.
std::string refusal(const MemoryPlan& p, const RuntimeOptions& options, const Machine& machine,
                    const std::string& advice);

// What is measured beside a plan, by category; of what is not known, nothing.
struct MeasuredBytes {
  std::array<std::optional<uint64_t>, kCategories> of;
  std::optional<uint64_t> total;
};

// A plan's lines and their sum, with their formulas.
std::string category_lines(const std::vector<PlanLine>& lines, const MeasuredBytes* measured = nullptr);
// "KV grows by 45.0 KiB a token, up to ..."
std::string growth_line(const MemoryPlan& p, const RuntimeOptions& options);
// The table people see: both.
std::string plan_lines(const MemoryPlan& p, const RuntimeOptions& options,
                       const MeasuredBytes* measured = nullptr);
// Whether it fits into what is free, in a sentence or two.
std::string verdict(const MemoryPlan& p, const RuntimeOptions& options, uint64_t free);

}  // namespace quipu::memory
