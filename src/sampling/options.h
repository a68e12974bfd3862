// How the next token is chosen: the run options of Ollama's API, with its names and defaults.
#pragma once

#include <cstdint>

namespace quipu {

// Whatever Ollama takes is taken. Sampler::create() refuses what has no meaning: numbers that are not finite,
// a negative repeat_penalty, a repeat_last_n below -1.
struct SamplingOptions {
  float temperature = 0.8f;    // <= 0: greedy
  int32_t top_k = 40;          // <= 0: off
  float top_p = 0.9f;          // >= 1: off
  float min_p = 0.0f;          // <= 0: off
  float typical_p = 1.0f;      // >= 1: off
  int32_t repeat_last_n = 64;  // tokens the penalties look back on; 0: off, -1: the context length
  float repeat_penalty = 1.0f;
  float presence_penalty = 0.0f;
  float frequency_penalty = 0.0f;
  int64_t seed = -1;  // -1: random; else its low 32 bits count
};

}  // namespace quipu
