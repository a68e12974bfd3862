// The llama family: RMS norm, grouped-query attention with rotary embedding on neighbouring pairs, SwiGLU.
// Covers "llama" (also Mistral, SmolLM2, Yi, ...) and "granite", which adds four multipliers. Spec:
// gguf-and-models 5.5, 5.6.
#pragma once

#include <memory>
#include <vector>

#include "model/binder.h"
#include "model/hparams.h"
#include "model/model.h"

namespace quipu {

class Decoder final : public Model {
 public:
  static Result<std::unique_ptr<Model>> load(const gguf::File& file);

  std::string_view architecture() const override { return h_.arch; }
  int64_t n_vocab() const override { return h_.n_vocab; }
  int64_t n_ctx_train() const override { return h_.n_ctx_train; }
  int64_t n_embd() const override { return h_.n_embd; }
  memory::ModelShape shape(int n_threads) const override;
  std::vector<kv::KvLayout> kv_layouts(KvTypes types) const override;
  Result<std::unique_ptr<Workspace>> make_workspace(memory::Arena& arena, int n_threads) const override;
  Result<void> forward(const Pass& pass, const Batch& batch, float* logits) const override;

  struct Buffers;  // decoder_buffers.h

 private:
  struct Layer {
    FloatVector attn_norm, ffn_norm;
    kernels::Weights q, k, v, attn_out, gate, up, down;
    FloatVector q_bias, k_bias, v_bias, attn_out_bias, gate_bias, up_bias, down_bias;
  };
  class Run;  // one forward pass
  // Where a layer's K and V are: its group, and which of the group's layers it is.
  struct Slot {
    int group;
    int layer;
  };

  Decoder() = default;
  Result<void> bind(const gguf::File& file);
  Result<void> bind_layer(Binder& b, int64_t index, Layer& layer);
  void note_activations(bool (&uses)[3]) const;
  void group_layers();
  kernels::AttentionShape attention_shape(std::span<const kv::KvLayout> layouts, int layer) const;

  HParams h_;
  uint64_t file_bytes_ = 0;
  bool header_only_ = false;  // enough for a plan, not for a pass
  kernels::Weights embedding_, output_;
  FloatVector output_norm_, rope_factors_;
  std::vector<Layer> layers_;
  struct Group {
    int n_layers;
    int64_t window;
  };
  std::vector<Group> groups_;
  std::vector<Slot> slots_;  // [layer]
};

}  // namespace quipu
