// A model that can run: from a batch of tokens of several sequences to logits.
//
// Threads: a Model is immutable after load; forward() runs on one thread at a time per Workspace and spreads
// its work over the pool it is given.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "gguf/file.h"
#include "kernels/attention.h"
#include "kv/layout.h"
#include "memory/arena.h"
#include "memory/plan.h"

namespace quipu {

// Rows of one batch at most: bounds the workspace (Granite 2.5 B: 25 MiB); a prefill goes through in chunks
// of it.
inline constexpr int64_t kMaxBatchRows = 256;

struct KvTypes {
  kernels::KvType k = kernels::KvType::kF16;
  kernels::KvType v = kernels::KvType::kF16;
  bool operator==(const KvTypes&) const = default;
};

// Consecutive tokens of one sequence in a batch. Their K and V are written to `blocks`, which reach to
// position0 + n_rows: of each group of layers its own. What no row's window reaches may be null.
struct BatchSequence {
  int64_t row0 = 0;
  int64_t n_rows = 0;
  int64_t position0 = 0;
  const std::byte* const* blocks[kv::kMaxGroups] = {};
};

// Consecutive rows whose last hidden states, normalised as for the logits, are added to `sum` one after the
// other: an embedding's mean comes out the same whatever batches its tokens came in.
struct HiddenSum {
  int64_t row0 = 0;
  int64_t n_rows = 0;
  double* sum = nullptr;  // [n_embd]
};

struct Batch {
  std::span<const int32_t> tokens;  // [n_rows], n_rows <= kMaxBatchRows
  std::span<const BatchSequence> sequences;
  std::span<const int32_t> output_rows;  // rows whose logits are wanted, any number up to n_rows
  std::span<const HiddenSum> sums = {};
};

class Workspace {  // the buffers of a forward pass; made by the model, sized by its plan
 public:
  virtual ~Workspace() = default;
};

class Model {
 public:
  virtual ~Model() = default;

  virtual std::string_view architecture() const = 0;
  virtual int64_t n_vocab() const = 0;
  virtual int64_t n_ctx_train() const = 0;
  virtual int64_t n_embd() const = 0;

  // The numbers a memory plan needs; workspace bytes are those of make_workspace() for `n_threads`.
  virtual memory::ModelShape shape(int n_threads) const = 0;
  // Of each group of layers that keep the same tokens; one at least.
  virtual std::vector<kv::KvLayout> kv_layouts(KvTypes types) const = 0;
  uint64_t kv_block_bytes(KvTypes types) const;  // 32 tokens in all groups

  // Carves the buffers out of an arena of shape().workspace_bytes.
  virtual Result<std::unique_ptr<Workspace>> make_workspace(memory::Arena& arena, int n_threads) const = 0;

  struct Pass {
    ThreadPool& pool;
    Workspace& workspace;
    std::span<const kv::KvLayout> layouts;
    bool exact_activations = false;  // float32 activations, for comparison only
  };
  // logits [output_rows.size(), n_vocab]. Tokens out of range are an error; nothing has been written then.
  virtual Result<void> forward(const Pass& pass, const Batch& batch, float* logits) const = 0;
};

// The file must outlive the model. Unknown architectures are kUnsupported, naming what is supported.
Result<std::unique_ptr<Model>> load_model(const gguf::File& file);

// "llama, granite"
std::string_view supported_architectures();

// Facts about a file for people.
int64_t count_parameters(const gguf::File& file);
std::string quantization_name(
    const gguf::File& file);  // "Q4_K_M" from general.file_type, else the commonest tensor type

}  // namespace quipu
