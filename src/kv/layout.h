// Where K and V of each layer and head lie inside a KV block. See kernels/attention.h for the inner order.
//
// A block holds its layers one after the other, a layer its KV heads, a head K and then V: what one work item
// of attention reads of a block is one linear piece of memory.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/attention.h"

namespace quipu::kv {

// A group of layers that keep the same tokens (all global layers, or all with one window).
struct GroupShape {
  int n_layers = 0;
  int n_kv_heads = 0;
  int head_dim_k = 0;  // as the model has it; padded here
  int head_dim_v = 0;
  kernels::KvType type_k = kernels::KvType::kF16;
  kernels::KvType type_v = kernels::KvType::kF16;
  int64_t window = 0;  // each query sees so many tokens, its own among them; 0: all
};

// Layers of a model are in one group or two: those that see everything, and those with a window.
inline constexpr int kMaxGroups = 2;

// Before K and V are rounded to few bits they are multiplied by a Walsh-Hadamard matrix (kernels::hadamard)
// of this size; 0: they are not. It spreads what is large in one dimension over many, and costs less than
// what it saves in precision: K with its queries for q8_0 and q4_0, V with the attention's output for q4_0.
// Spec: gguf-and-models 8.2. head_dim: as the model has it, not padded.
int rotation_of_k(int head_dim, kernels::KvType type);
int rotation_of_v(int head_dim, kernels::KvType type);

class KvLayout {
 public:
  // A shape with a number below 1, or too large for addresses, gives a layout whose block_bytes() is 0;
  // BlockPool::create() refuses that.
  explicit KvLayout(const GroupShape& shape);
  const GroupShape& shape() const { return shape_; }
  int padded_k() const { return padded_k_; }
  int padded_v() const { return padded_v_; }
  // 32 tokens, all layers of the group, K and V; rounded up to whole 4 KiB pages.
  size_t block_bytes() const { return block_bytes_; }
  // Tokens from this position on are needed by whoever has `n_stored` tokens and goes on from there, or from
  // somewhere in the block that he is writing.
  int64_t first_needed(int64_t n_stored) const;
  // Blocks of a sequence of n_tokens, between two passes.
  int64_t n_blocks(int64_t n_tokens) const;
  // The attention shape of layer `layer` within the group (n_heads is the caller's to add).
  kernels::AttentionShape layer_shape(int layer) const;

 private:
  GroupShape shape_;
  int padded_k_ = 0, padded_v_ = 0;
  size_t k_bytes_ = 0, v_bytes_ = 0;  // of one head
  size_t layer_bytes_ = 0, block_bytes_ = 0;
};

}  // namespace quipu::kv
