// A decoder's hyper-parameters, read from the file's metadata and checked. Spec:
// gguf-and-models 1.4, 3.1, 3.3.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "gguf/file.h"

namespace quipu {

struct HParams {
  std::string arch;
  int64_t n_ctx_train = 0;
  int64_t n_embd = 0;
  int64_t n_layers = 0;
  int64_t n_heads = 0;
  int64_t n_kv_heads = 0;
  int64_t head_dim_k = 0;
  int64_t head_dim_v = 0;
  int64_t n_ff = 0;
  int64_t n_vocab = 0;  // rows of token_embd
  float rms_eps = 0;

  // Layers that see only the last `window` tokens, and that have the rotary embedding: [n_layers].
  int64_t window = 0;  // 0: there are none
  std::vector<bool> windowed, rotated;

  // Rotary embedding.
  bool use_rope = true;
  int64_t n_rot = 0;
  float rope_freq_base = 10000.0f;
  float rope_freq_scale = 1.0f;   // 1 / factor
  float rope_ext_factor = 0.0f;   // YaRN mix
  float rope_attn_factor = 1.0f;  // with YaRN's corrections (spec 5.2)
  float rope_beta_fast = 32.0f;
  float rope_beta_slow = 1.0f;
  int64_t rope_n_ctx_orig = 0;

  // Multipliers. 0 stands for "not applied" in the file and has become 1 here.
  float embedding_scale = 1.0f;
  float residual_scale = 1.0f;
  float attention_scale = 0.0f;  // of q.k; 1/sqrt(head_dim_k) unless the file says otherwise
  float logit_divisor = 1.0f;
};

// Reads the parameters of a llama-like architecture ("llama", "granite", "granite_swa"). The error names the
// key at fault.
Result<HParams> read_hparams(const gguf::File& file);

}  // namespace quipu
