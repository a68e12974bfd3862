// The buffers of a decoder's forward pass. One function lays them out, once to count the bytes for the plan
// and once to carve them out of the arena, so that the plan and the allocation cannot differ.
#pragma once

#include <algorithm>

#include "base/checked.h"
#include "kernels/attention.h"
#include "kernels/matmul.h"
#include "memory/arena.h"
#include "model/decoder.h"

namespace quipu {

struct Decoder::Buffers : Workspace {
  int64_t q_stride = 0, k_stride = 0, v_stride = 0, attn_stride = 0;  // floats from one row to the next
  int64_t hidden_stride = 0, shared_stride = 0;

  float* x = nullptr;       // [rows, n_embd] the residual stream
  float* hidden = nullptr;  // [rows, hidden_stride] a norm's output, the attention's output, a block's output
  float* q = nullptr;       // [rows, q_stride]; with k and v it shares its memory with gate and up
  float* k = nullptr;
  float* v = nullptr;
  float* gate = nullptr;  // [rows, n_ff]
  float* up = nullptr;
  float* cos = nullptr;  // [rows, n_rot / 2]
  float* sin = nullptr;
  std::byte* acts = nullptr;     // prepared activations of the widest matrix
  std::byte* scratch = nullptr;  // of matmul and attention, which never run at the same time

  // take(bytes) returns the next piece; the counting pass returns null and the pointers are unused.
  template <class Take>
  void lay_out(const HParams& h, const kernels::AttentionShape& shape, int n_threads, Take&& take) {
    constexpr int64_t kRows = kMaxBatchRows;
    constexpr size_t kFloat = sizeof(float);
    q_stride = h.n_heads * shape.head_dim_k;
    k_stride = h.n_kv_heads * shape.head_dim_k;
    v_stride = h.n_kv_heads * shape.head_dim_v;
    attn_stride = h.n_heads * shape.head_dim_v;
    hidden_stride = std::max(h.n_embd, attn_stride);
    const auto floats = [&](int64_t per_row) {
      return reinterpret_cast<float*>(take(static_cast<size_t>(kRows * per_row) * kFloat));
    };
    x = floats(h.n_embd);
    hidden = floats(hidden_stride);
    // q, k, v are dead when gate and up are written.
    shared_stride = std::max({q_stride + k_stride + v_stride, 2 * h.n_ff, h.n_embd});
    float* shared = floats(shared_stride);
    q = shared;
    gate = shared;
    if (shared != nullptr) {
      k = q + kRows * q_stride;
      v = k + kRows * k_stride;
      up = gate + kRows * h.n_ff;
    }
    cos = floats(std::max<int64_t>(h.n_rot / 2, 1));
    sin = floats(std::max<int64_t>(h.n_rot / 2, 1));
    const int64_t widest = std::max({h.n_embd, h.n_heads * h.head_dim_v, h.n_ff});
    size_t act_bytes = 0;
    for (auto kind : {kernels::ActKind::kFloat, kernels::ActKind::kInt8Per32, kernels::ActKind::kInt8Per256})
      if (uses[static_cast<int>(kind)])
        act_bytes = std::max(act_bytes, kernels::act_bytes(kind, round_up<int64_t>(widest, 256), kRows));
    acts = take(act_bytes);
    const size_t matmul = kernels::matmul_scratch_bytes(widest) * static_cast<size_t>(n_threads);
    scratch = take(std::max(matmul, kernels::attention_scratch_bytes(shape, kRows, n_threads)));
  }

  bool uses[3] = {};  // by ActKind: how the model's weights want their activations
};

}  // namespace quipu
