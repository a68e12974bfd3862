// One forward pass of the llama family.
#include <algorithm>
#include <array>
#include <cstring>

#include "kernels/ops.h"
#include "model/decoder_buffers.h"

namespace quipu {

class Decoder::Run {
 public:
  Run(const Decoder& model, const Pass& pass, const Batch& batch)
      : m_(model),
        h_(model.h_),
        pass_(pass),
        pool_(pass.pool),
        b_(static_cast<Buffers&>(pass.workspace)),
        batch_(batch),
        n_rows_(static_cast<int64_t>(batch.tokens.size())) {}

  void run(float* logits) {
    embed();
    rope_tables();
    for (int i = 0; i < static_cast<int>(m_.layers_.size()); ++i) {
      attention_block(m_.layers_[static_cast<size_t>(i)], i);
      feed_forward_block(m_.layers_[static_cast<size_t>(i)]);
    }
    add_up_hidden();
    output(logits);
  }

 private:
  template <class F>
  void for_rows(int64_t n, F&& f) {
    pool_.run(static_cast<int>(n), [&](int row, int) { f(static_cast<int64_t>(row)); });
  }

  void embed() {
    for_rows(n_rows_, [&](int64_t r) {
      float* x = b_.x + r * h_.n_embd;
      kernels::decode_weight_row(m_.embedding_, batch_.tokens[static_cast<size_t>(r)], x);
      if (h_.embedding_scale != 1.0f) kernels::scale(x, h_.embedding_scale, h_.n_embd);
    });
  }

  // cos and sin of every row's position, once for all layers.
  void rope_tables() {
    if (!h_.use_rope) return;
    const int64_t pairs = h_.n_rot / 2;
    const kernels::RopeParams p = {.n_rot = static_cast<int>(h_.n_rot),
                                   .freq_base = h_.rope_freq_base,
                                   .freq_scale = h_.rope_freq_scale,
                                   .ext_factor = h_.rope_ext_factor,
                                   .attn_factor = h_.rope_attn_factor,
                                   .beta_fast = h_.rope_beta_fast,
                                   .beta_slow = h_.rope_beta_slow,
                                   .n_ctx_orig = h_.rope_n_ctx_orig,
                                   .factors = m_.rope_factors_.span()};
    for (const BatchSequence& s : batch_.sequences)
      for_rows(s.n_rows, [&](int64_t i) {
        const int64_t r = s.row0 + i;
        kernels::rope_angles(p, s.position0 + i, b_.cos + r * pairs, b_.sin + r * pairs);
      });
  }

  void norm(const FloatVector& w) {
    for_rows(n_rows_, [&](int64_t r) { norm_row(r, w, b_.hidden + r * b_.hidden_stride); });
  }

  void norm_row(int64_t r, const FloatVector& w, float* y) const {
    const auto function = pass_.exact_activations ? kernels::rms_norm_exact : kernels::rms_norm;
    function(b_.x + r * h_.n_embd, w.data(), h_.rms_eps, h_.n_embd, y);
  }

  // y = W x for all products, which share x [n_rows, n_cols]. Products whose weights want their activations
  // prepared in another way form passes of their own.
  void multiply(std::span<const kernels::Product> products, const float* x, int64_t ldx, int64_t n_rows) {
    if (pass_.exact_activations) return kernels::matmul_exact(pool_, products, x, ldx, n_rows, b_.scratch);
    std::array<kernels::Product, 4> same;
    for (auto kind :
         {kernels::ActKind::kFloat, kernels::ActKind::kInt8Per32, kernels::ActKind::kInt8Per256}) {
      size_t n = 0;
      for (const kernels::Product& p : products)
        if (kernels::act_kind(p.w.type) == kind) same[n++] = p;
      if (n == 0) continue;
      kernels::prepare(pool_, kind, x, ldx, products[0].w.n_cols, n_rows, b_.acts);
      kernels::matmul(pool_, std::span(same.data(), n), b_.acts, n_rows, b_.scratch);
    }
  }

  void add_bias(const FloatVector& bias, float* y, int64_t ldy) {
    if (bias.empty()) return;
    for_rows(n_rows_,
             [&](int64_t r) { kernels::add(y + r * ldy, bias.data(), static_cast<int64_t>(bias.size())); });
  }

  // A matrix product writes heads of `dim` values side by side; the cache wants them `padded` apart, zeros
  // between.
  static void spread_heads(float* row, int64_t n_heads, int64_t dim, int64_t padded) {
    if (dim == padded) return;
    for (int64_t head = n_heads - 1; head >= 0; --head) {
      std::memmove(row + head * padded, row + head * dim, static_cast<size_t>(dim) * sizeof(float));
      std::fill(row + head * padded + dim, row + (head + 1) * padded, 0.0f);
    }
  }
  static void gather_heads(float* row, int64_t n_heads, int64_t dim, int64_t padded) {
    if (dim == padded) return;
    for (int64_t head = 1; head < n_heads; ++head)
      std::memmove(row + head * dim, row + head * padded, static_cast<size_t>(dim) * sizeof(float));
  }

  void attention_block(const Layer& l, int index) {
    const kernels::AttentionShape shape = m_.attention_shape(pass_.layouts, index);
    const auto group = static_cast<size_t>(m_.slots_[static_cast<size_t>(index)].group);
    const bool rotated = h_.use_rope && h_.rotated[static_cast<size_t>(index)];
    norm(l.attn_norm);
    const std::array<kernels::Product, 3> qkv = {
        {{l.q, b_.q, b_.q_stride}, {l.k, b_.k, b_.k_stride}, {l.v, b_.v, b_.v_stride}}};
    multiply(qkv, b_.hidden, b_.hidden_stride, n_rows_);
    add_bias(l.q_bias, b_.q, b_.q_stride);
    add_bias(l.k_bias, b_.k, b_.k_stride);
    add_bias(l.v_bias, b_.v, b_.v_stride);
    const int64_t pairs = h_.n_rot / 2;
    const int k_rotation = kv::rotation_of_k(static_cast<int>(h_.head_dim_k), shape.type_k);
    const int v_rotation = kv::rotation_of_v(static_cast<int>(h_.head_dim_v), shape.type_v);
    for_rows(n_rows_, [&](int64_t r) {
      float* q = b_.q + r * b_.q_stride;
      float* k = b_.k + r * b_.k_stride;
      spread_heads(q, h_.n_heads, h_.head_dim_k, shape.head_dim_k);
      spread_heads(k, h_.n_kv_heads, h_.head_dim_k, shape.head_dim_k);
      spread_heads(b_.v + r * b_.v_stride, h_.n_kv_heads, h_.head_dim_v, shape.head_dim_v);
      if (rotated) {
        const float *c = b_.cos + r * pairs, *s = b_.sin + r * pairs;
        kernels::rope_neighbours(q, static_cast<int>(h_.n_heads), shape.head_dim_k, static_cast<int>(pairs),
                                 c, s);
        kernels::rope_neighbours(k, static_cast<int>(h_.n_kv_heads), shape.head_dim_k,
                                 static_cast<int>(pairs), c, s);
      }
      kernels::scale(q, h_.attention_scale, b_.q_stride);
      // Where there is a rotation the heads are not padded.
      if (k_rotation > 0) {
        kernels::hadamard(q, h_.n_heads * h_.head_dim_k, k_rotation);
        kernels::hadamard(k, h_.n_kv_heads * h_.head_dim_k, k_rotation);
      }
      if (v_rotation > 0)
        kernels::hadamard(b_.v + r * b_.v_stride, h_.n_kv_heads * h_.head_dim_v, v_rotation);
    });
    std::array<kernels::AttentionSeq, 64> seqs;  // as many as fit at once; more go in rounds
    for (size_t first = 0; first < batch_.sequences.size(); first += seqs.size()) {
      const size_t n = std::min(seqs.size(), batch_.sequences.size() - first);
      for (size_t i = 0; i < n; ++i) {
        const BatchSequence& s = batch_.sequences[first + i];
        seqs[i] = {s.row0, s.n_rows, s.position0, s.blocks[group]};
        kernels::store_kv(pool_, shape, seqs[i], b_.k + s.row0 * b_.k_stride, b_.k_stride,
                          b_.v + s.row0 * b_.v_stride, b_.v_stride);
      }
      kernels::attention(pool_, shape, std::span(seqs.data(), n), b_.q, b_.q_stride, b_.hidden,
                         b_.hidden_stride, b_.scratch);
    }
    if (v_rotation > 0)
      for_rows(n_rows_, [&](int64_t r) {
        kernels::hadamard(b_.hidden + r * b_.hidden_stride, h_.n_heads * h_.head_dim_v, v_rotation);
      });
    if (shape.head_dim_v != h_.head_dim_v)
      for_rows(n_rows_, [&](int64_t r) {
        gather_heads(b_.hidden + r * b_.hidden_stride, h_.n_heads, h_.head_dim_v, shape.head_dim_v);
      });
    project(l.attn_out, l.attn_out_bias, b_.hidden, b_.hidden_stride);
  }

  // x += residual_scale * (W input + bias). The product goes through `hidden`, whose old content prepare()
  // has copied; with exact activations the input is read while the product is written, so that one goes
  // through q's memory.
  void project(const kernels::Weights& w, const FloatVector& bias, const float* input, int64_t ld_input) {
    const bool aside = pass_.exact_activations && input == b_.hidden;
    float* y = aside ? b_.q : b_.hidden;
    const int64_t ldy = aside ? b_.shared_stride : b_.hidden_stride;
    const kernels::Product product = {w, y, ldy};
    multiply(std::span(&product, 1), input, ld_input, n_rows_);
    add_residual(bias, y, ldy);
  }

  void add_residual(const FloatVector& bias, float* y, int64_t ldy) {
    for_rows(n_rows_, [&](int64_t r) {
      float* row = y + r * ldy;
      if (!bias.empty()) kernels::add(row, bias.data(), h_.n_embd);
      if (h_.residual_scale == 1.0f)
        kernels::add(b_.x + r * h_.n_embd, row, h_.n_embd);
      else
        kernels::add_scaled(b_.x + r * h_.n_embd, row, h_.residual_scale, h_.n_embd);
    });
  }

  void feed_forward_block(const Layer& l) {
    norm(l.ffn_norm);
    const std::array<kernels::Product, 2> gate_up = {{{l.gate, b_.gate, h_.n_ff}, {l.up, b_.up, h_.n_ff}}};
    multiply(gate_up, b_.hidden, b_.hidden_stride, n_rows_);
    add_bias(l.gate_bias, b_.gate, h_.n_ff);
    add_bias(l.up_bias, b_.up, h_.n_ff);
    for_rows(n_rows_,
             [&](int64_t r) { kernels::swiglu(b_.gate + r * h_.n_ff, b_.up + r * h_.n_ff, h_.n_ff); });
    project(l.down, l.down_bias, b_.gate, h_.n_ff);
  }

  void add_up_hidden() {
    constexpr int64_t kPart = 256;  // values of a sum that one thread adds up, each in the order of the rows
    for (const HiddenSum& s : batch_.sums) {
      for_rows(s.n_rows,
               [&](int64_t i) { norm_row(s.row0 + i, m_.output_norm_, b_.hidden + i * b_.hidden_stride); });
      for_rows(ceil_div(h_.n_embd, kPart), [&](int64_t part) {
        const int64_t end = std::min(h_.n_embd, (part + 1) * kPart);
        for (int64_t i = 0; i < s.n_rows; ++i)
          for (int64_t d = part * kPart; d < end; ++d) s.sum[d] += b_.hidden[i * b_.hidden_stride + d];
      });
    }
  }

  // Logits of the rows asked for, and of no others.
  void output(float* logits) {
    const auto n = static_cast<int64_t>(batch_.output_rows.size());
    if (n == 0) return;
    for_rows(n, [&](int64_t i) {
      const int64_t r = batch_.output_rows[static_cast<size_t>(i)];
      norm_row(r, m_.output_norm_, b_.hidden + i * b_.hidden_stride);
    });
    const kernels::Product product = {m_.output_, logits, h_.n_vocab};
    multiply(std::span(&product, 1), b_.hidden, b_.hidden_stride, n);
    if (h_.logit_divisor != 1.0f) {
      for_rows(n, [&](int64_t i) {
        kernels::scale(logits + i * h_.n_vocab, 1.0f / h_.logit_divisor, h_.n_vocab);
      });
    }
  }

  const Decoder& m_;
  const HParams& h_;
  const Pass& pass_;
  ThreadPool& pool_;
  Buffers& b_;
  const Batch& batch_;
  const int64_t n_rows_;
};

Result<void> Decoder::forward(const Pass& pass, const Batch& batch, float* logits) const {
  if (batch.tokens.empty() || static_cast<int64_t>(batch.tokens.size()) > kMaxBatchRows)
    return error(Code::kInternal, "a batch of {} rows; 1 to {} are possible", batch.tokens.size(),
                 kMaxBatchRows);
  if (header_only_) return error(Code::kInternal, "the model was opened without its weights");
  for (int32_t t : batch.tokens)
    if (t < 0 || t >= h_.n_vocab)
      return error(Code::kInvalidArgument, "token {} is not in the vocabulary of {}", t, h_.n_vocab);
  if (pass.layouts.size() != groups_.size())
    return error(Code::kInternal, "layouts of {} groups; the model has {}", pass.layouts.size(),
                 groups_.size());
  Run(*this, pass, batch).run(logits);
  return {};
}

}  // namespace quipu
