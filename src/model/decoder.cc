#include "model/decoder.h"

#include <array>

#include "model/decoder_buffers.h"

namespace quipu {

Result<std::unique_ptr<Model>> Decoder::load(const gguf::File& file) {
  std::unique_ptr<Decoder> d(new Decoder());
  auto h = read_hparams(file);
  if (!h) return wrap(std::move(h).error(), file.path());
  d->h_ = std::move(*h);
  if (auto bound = d->bind(file); !bound) return wrap(std::move(bound).error(), file.path());
  return std::unique_ptr<Model>(std::move(d));
}

Result<void> Decoder::bind(const gguf::File& file) {
  Binder b(file);
  file_bytes_ = file.mapped_bytes();
  const gguf::Tensor* embd = file.tensor("token_embd.weight");
  if (embd == nullptr) return error(Code::kCorrupt, "the file has no tensor 'token_embd.weight'");
  h_.n_vocab = embd->shape[1];
  if (h_.n_vocab < 1 || h_.n_vocab >= (int64_t{1} << 24))
    return error(Code::kCorrupt, "tensor 'token_embd.weight' has {} rows", h_.n_vocab);
  // What the tokenizer can say and what the model can know is one list, or the file is put together wrongly.
  if (const auto tokens = file.array("tokenizer.ggml.tokens"); tokens && *tokens) {
    const auto n = static_cast<int64_t>((*tokens)->size());
    if (n != h_.n_vocab)
      return error(Code::kCorrupt, "tensor 'token_embd.weight' has {} rows, but the vocabulary has {} tokens",
                   h_.n_vocab, n);
  }
  QUIPU_ASSIGN(embedding_, b.matrix("token_embd.weight", h_.n_embd, h_.n_vocab));
  output_ = embedding_;  // tied, unless the file says otherwise
  if (b.has("output.weight")) {
    QUIPU_ASSIGN(output_, b.matrix("output.weight", h_.n_embd, h_.n_vocab));
  }
  QUIPU_ASSIGN(output_norm_, b.vector("output_norm.weight", h_.n_embd));
  QUIPU_ASSIGN(rope_factors_, b.optional_vector("rope_freqs.weight", h_.n_rot / 2));
  layers_.resize(static_cast<size_t>(h_.n_layers));
  for (int64_t i = 0; i < h_.n_layers; ++i) QUIPU_TRY(bind_layer(b, i, layers_[static_cast<size_t>(i)]));
  group_layers();
  header_only_ = b.data_missing();
  return b.check_unused(h_.n_layers);
}

Result<void> Decoder::bind_layer(Binder& b, int64_t index, Layer& l) {
  const std::string p = fmt::format("blk.{}.", index);
  const int64_t n_q = h_.n_heads * h_.head_dim_k, n_k = h_.n_kv_heads * h_.head_dim_k,
                n_v = h_.n_kv_heads * h_.head_dim_v;
  if (b.has(p + "attn_sinks.weight"))
    return error(Code::kUnsupported, "attention sinks (tensor '{}attn_sinks.weight') are not supported yet",
                 p);
  QUIPU_ASSIGN(l.attn_norm, b.vector(p + "attn_norm.weight", h_.n_embd));
  if (b.has(p + "attn_qkv.weight")) {  // one matrix for all three, in this order
    QUIPU_ASSIGN(const kernels::Weights qkv, b.matrix(p + "attn_qkv.weight", h_.n_embd, n_q + n_k + n_v));
    l.q = slice_rows(qkv, 0, n_q);
    l.k = slice_rows(qkv, n_q, n_k);
    l.v = slice_rows(qkv, n_q + n_k, n_v);
  } else {
    QUIPU_ASSIGN(l.q, b.matrix(p + "attn_q.weight", h_.n_embd, n_q));
    QUIPU_ASSIGN(l.k, b.matrix(p + "attn_k.weight", h_.n_embd, n_k));
    QUIPU_ASSIGN(l.v, b.matrix(p + "attn_v.weight", h_.n_embd, n_v));
  }
  QUIPU_ASSIGN(l.attn_out, b.matrix(p + "attn_output.weight", h_.n_heads * h_.head_dim_v, h_.n_embd));
  QUIPU_ASSIGN(l.ffn_norm, b.vector(p + "ffn_norm.weight", h_.n_embd));
  QUIPU_ASSIGN(l.gate, b.matrix(p + "ffn_gate.weight", h_.n_embd, h_.n_ff));
  QUIPU_ASSIGN(l.up, b.matrix(p + "ffn_up.weight", h_.n_embd, h_.n_ff));
  QUIPU_ASSIGN(l.down, b.matrix(p + "ffn_down.weight", h_.n_ff, h_.n_embd));

  if (b.has(p + "attn_qkv.bias")) {
    QUIPU_ASSIGN(const FloatVector qkv, b.vector(p + "attn_qkv.bias", n_q + n_k + n_v));
    const auto part = [&](int64_t first, int64_t n) {
      return qkv.slice(static_cast<size_t>(first), static_cast<size_t>(n));
    };
    l.q_bias = part(0, n_q);
    l.k_bias = part(n_q, n_k);
    l.v_bias = part(n_q + n_k, n_v);
  } else {
    QUIPU_ASSIGN(l.q_bias, b.optional_vector(p + "attn_q.bias", n_q));
    QUIPU_ASSIGN(l.k_bias, b.optional_vector(p + "attn_k.bias", n_k));
    QUIPU_ASSIGN(l.v_bias, b.optional_vector(p + "attn_v.bias", n_v));
  }
  QUIPU_ASSIGN(l.attn_out_bias, b.optional_vector(p + "attn_output.bias", h_.n_embd));
  QUIPU_ASSIGN(l.gate_bias, b.optional_vector(p + "ffn_gate.bias", h_.n_ff));
  QUIPU_ASSIGN(l.up_bias, b.optional_vector(p + "ffn_up.bias", h_.n_ff));
  QUIPU_ASSIGN(l.down_bias, b.optional_vector(p + "ffn_down.bias", h_.n_embd));
  return {};
}

// First those that see everything, then those with a window.
void Decoder::group_layers() {
  slots_.resize(layers_.size());
  for (const bool windowed : {false, true}) {
    int n = 0;
    for (size_t i = 0; i < slots_.size(); ++i)
      if (h_.windowed[i] == windowed) slots_[i] = {static_cast<int>(groups_.size()), n++};
    if (n > 0) groups_.push_back({n, windowed ? h_.window : 0});
  }
}

std::vector<kv::KvLayout> Decoder::kv_layouts(KvTypes types) const {
  std::vector<kv::KvLayout> layouts;
  for (const Group& g : groups_)
    layouts.emplace_back(kv::GroupShape{.n_layers = g.n_layers,
                                        .n_kv_heads = static_cast<int>(h_.n_kv_heads),
                                        .head_dim_k = static_cast<int>(h_.head_dim_k),
                                        .head_dim_v = static_cast<int>(h_.head_dim_v),
                                        .type_k = types.k,
                                        .type_v = types.v,
                                        .window = g.window});
  return layouts;
}

kernels::AttentionShape Decoder::attention_shape(std::span<const kv::KvLayout> layouts, int layer) const {
  const Slot slot = slots_[static_cast<size_t>(layer)];
  kernels::AttentionShape s = layouts[static_cast<size_t>(slot.group)].layer_shape(slot.layer);
  s.n_heads = static_cast<int>(h_.n_heads);
  return s;
}

void Decoder::note_activations(bool (&uses)[3]) const {
  const auto note = [&](const kernels::Weights& w) {
    uses[static_cast<int>(kernels::act_kind(w.type))] = true;
  };
  note(output_);
  for (const Layer& l : layers_)
    for (const kernels::Weights* w : {&l.q, &l.k, &l.v, &l.attn_out, &l.gate, &l.up, &l.down}) note(*w);
}

memory::ModelShape Decoder::shape(int n_threads) const {
  const std::vector<kv::KvLayout> layouts = kv_layouts({});
  memory::ModelShape s;
  s.weights_bytes = file_bytes_;
  Buffers counted;
  note_activations(counted.uses);
  size_t bytes = 0;
  counted.lay_out(h_, attention_shape(layouts, 0), n_threads, [&](size_t n) -> std::byte* {
    bytes = round_up(bytes, memory::kArenaAlignment) + n;
    return nullptr;
  });
  s.workspace_bytes = bytes;
  s.max_rows = kMaxBatchRows;
  s.n_threads = n_threads;
  s.n_vocab = h_.n_vocab;
  s.n_embd = h_.n_embd;
  s.n_ctx_train = h_.n_ctx_train;
  for (const kv::KvLayout& l : layouts)
    s.groups.push_back({.n_layers = l.shape().n_layers,
                        .n_kv_heads = h_.n_kv_heads,
                        .head_dim_k = l.padded_k(),
                        .head_dim_v = l.padded_v(),
                        .window = l.shape().window});
  return s;
}

Result<std::unique_ptr<Workspace>> Decoder::make_workspace(memory::Arena& arena, int n_threads) const {
  auto buffers = std::make_unique<Buffers>();
  note_activations(buffers->uses);
  bool short_of = false;
  buffers->lay_out(h_, attention_shape(kv_layouts({}), 0), n_threads, [&](size_t n) {
    std::byte* p = arena.take(n);
    short_of |= p == nullptr;
    return p;
  });
  if (short_of) return error(Code::kInternal, "the workspace is smaller than its plan");
  return std::unique_ptr<Workspace>(std::move(buffers));
}

}  // namespace quipu
