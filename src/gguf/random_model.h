// Models with real shapes and random weights, for tests and benchmarks of memory and speed. What they say
// makes no sense, but everything about them is valid: blocks decode to values of a plausible spread, the
// vocabulary is a byte-level BPE that can express any text, the chat template renders.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace quipu::gguf {

enum class WeightMix {
  kF32,
  kF16,
  kBF16,
  kQ8_0,
  kQ4_0,
  kQ4_1,
  kQ4_K_M,  // Q4_K; Q6_K for the output layer and for some layers' attn_v and ffn_down, as quantisers do it
};

struct RandomModel {
  std::string arch = "granite";  // or "llama", "granite_swa"
  WeightMix mix = WeightMix::kQ4_K_M;
  int64_t n_layers = 8;
  int64_t n_embd = 512;
  int64_t n_heads = 8;
  int64_t n_kv_heads = 2;
  int64_t head_dim = 64;
  int64_t n_ff = 2048;
  int64_t n_ctx = 131072;
  int64_t n_vocab = 8192;  // at least 259: the bytes and the control tokens
  bool tied = true;        // the output layer is the token embedding
  float rope_freq_base = 5e6f;
  uint64_t seed = 1;   // equal models with equal seeds are equal files
  int64_t window = 0;  // tokens; of granite_swa, whose layers but the last have it
};

inline RandomModel small_granite() { return {}; }  // about 22 MB

// The shape of Granite 3.x 2B: about 1.5 GB as Q4_K_M.
inline RandomModel granite_2b() {
  return {.n_layers = 40, .n_embd = 2048, .n_heads = 32, .n_kv_heads = 8, .n_ff = 8192, .n_vocab = 49155};
}

// Writes the file to PATH atomically, with a few MB of memory whatever its size.
Result<void> write_random_model(const RandomModel& model, const std::string& path);

}  // namespace quipu::gguf
