// What the engine is asked for: to go on from a prompt in tokens, or to make an embedding of one; and where
// the answer goes.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/model.h"
#include "sampling/logprobs.h"
#include "sampling/options.h"
#include "tokenizer/tokenizer.h"

namespace quipu {

// Why an answer ended. Names as in public answers: "eos", "stop", "length", ...
enum class StopReason { kEos, kStop, kLength, kContext, kRepetition, kTime, kMemory, kCancelled };
const char* stop_reason_name(StopReason r);
const char* done_reason(StopReason r);  // "stop" or "length": the coarse vocabulary of public APIs

// What holds for every kind of request. These belong to the sequence, not to the loaded model.
struct RunLimits {
  int64_t n_ctx = 0;                                           // 0: the engine's
  std::optional<KvTypes> kv_types;                             // absent: the engine's
  double max_seconds = 0;                                      // 0: none
  std::optional<std::chrono::steady_clock::time_point> since;  // these count from then; absent: from submit()
  int n_threads = 0;                                           // 0: all of the engine's
};

struct GenerateOptions : RunLimits {
  SamplingOptions sampling;
  std::optional<int64_t> num_predict;  // absent: until the model ends or the context is full
  int64_t num_keep = 4;                // tokens that survive a context shift; negative: the whole prompt
  bool shift = true;                   // with num_predict: drop the older half when the context is full
  std::vector<std::string> stop;
  bool repeat_guard = true;
  std::optional<int> top_logprobs;  // absent: no logprobs at all
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

// A piece of an answer: complete UTF-8 text (empty only beside logprobs), and the logprobs of the tokens that
// begin in it.
struct AnswerPiece {
  std::string_view text;
  std::span<const Logprobs> logprobs;
};

// Callbacks run on the engine's thread and must not block for long. Exactly one on_done ends a request; after
// it nothing of the request is touched any more.
struct GenerateRequest {
  std::vector<Token> prompt;  // not empty
  // How many tokens of the prompt a message ends after, rising. Models whose layers have windows can be gone
  // on from the first of them, the last two and the ends of prompt and answer; others from anywhere.
  std::vector<int64_t> boundaries;
  GenerateOptions options;
  std::function<void()> on_start;  // once, when its prefill begins; not if it ends while it waits
  std::function<void(const AnswerPiece&)> on_piece;
  std::function<void(Result<GenerateStats>)> on_done;
};

// The mean of the final normalised hidden states of all tokens, [n_embd]. A request that ends early (time,
// memory, cancelled) is an error.
struct EmbedRequest {
  std::vector<Token> tokens;  // not empty; as many as the context at most
  RunLimits limits;
  std::function<void(Result<std::vector<float>>)> on_done;
};

}  // namespace quipu
