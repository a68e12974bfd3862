// What a model's file weighs in another quantisation. The usual names ("Q4_K_M") stand for mixtures of
// formats: which matrices get which is known, so the number of elements of each kind is enough for an
// estimate.
//
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "quant/type.h"

namespace quipu {

// Elements by the part that they play.
struct WeightCounts {
  int64_t n_embedding = 0;
  int64_t n_output = 0;       // 0: the embedding is the output matrix too
  int64_t n_value_down = 0;   // attn_v and ffn_down, of which a mixture stores some in a finer format
  int64_t n_other = 0;        // all other matrices
  int64_t n_vector = 0;       // norms and biases: float32 always
  uint64_t header_bytes = 0;  // what is in the file beside tensors
  bool rows_of_256 = true;    // else the K formats do not apply
};

struct Quantization {
  const char* name;
  TensorType main, fine, output;
  double fine_share;  // of n_value_down that is stored in `fine`

  double bits() const;      // of a weight in `main`
  bool computable() const;  // this build can run it
  bool needs_256() const;   // the formats have blocks of 256
};

// From fine to coarse.
const std::vector<Quantization>& quantizations();

// Whatever the case of its letters; null: unknown.
const Quantization* find_quantization(std::string_view name);

// Saturates at 2^63.
uint64_t estimated_bytes(const WeightCounts& counts, const Quantization& quantization);

}  // namespace quipu
