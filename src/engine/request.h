// One request to the engine: a prompt in tokens, how to go on, and where the answer goes.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "sampling/options.h"
#include "tokenizer/tokenizer.h"

namespace quipu {

// Why an answer ended. Names as in public answers: "eos", "stop", "length", ...
enum class StopReason { kEos, kStop, kLength, kContext, kRepetition, kTime, kMemory, kCancelled };
const char* stop_reason_name(StopReason r);
const char* done_reason(StopReason r);  // "stop" or "length": the coarse vocabulary of public APIs

struct GenerateOptions {
  SamplingOptions sampling;
  int64_t n_ctx = 0;                   // 0: the engine's
  std::optional<int64_t> num_predict;  // absent: until the model ends or the context is full
  int64_t num_keep = 4;                // tokens that survive a context shift; negative: the whole prompt
  bool shift = true;                   // with num_predict: drop the older half when the context is full
  std::vector<std::string> stop;
  bool repeat_guard = true;
  double max_seconds = 0;  // 0: none
  int n_threads = 0;       // 0: all of the engine's
};

struct GenerateStats {
  StopReason reason = StopReason::kEos;
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;  // of the prompt, found in the cache
  int64_t generated_tokens = 0;
  int64_t context_shifts = 0;
  uint64_t kv_bytes = 0;
  int64_t prompt_ns = 0, generate_ns = 0, total_ns = 0;
};

struct GenerateRequest {
  std::vector<Token> prompt;  // not empty
  GenerateOptions options;
  // Called on the engine's thread; must not block for long. on_text gives complete UTF-8 text. Exactly one
  // on_done ends the request; after it nothing of the request is touched any more.
  std::function<void(std::string_view text)> on_text;
  std::function<void(Result<GenerateStats>)> on_done;
};

}  // namespace quipu
