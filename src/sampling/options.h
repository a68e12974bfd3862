// How the next token is chosen. Names and defaults: ollama-compat 1.3.1, quipu-extensions 4.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace quipu {

struct SamplingOptions {
  float temperature = 0.8f;  // 0: greedy
  int32_t top_k = 40;        // <= 0: off
  float top_p = 0.9f;        // >= 1: off
  float min_p = 0.0f;        // <= 0: off
  float typical_p = 1.0f;    // >= 1: off
  int32_t repeat_last_n = 64;  // 0: off, -1: the context length
  float repeat_penalty = 1.0f;
  float presence_penalty = 0.0f;
  float frequency_penalty = 0.0f;
  int64_t seed = -1;  // negative: random
};

}  // namespace quipu
