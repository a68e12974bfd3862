// POST /embed: texts to vectors, docs/runner-protocol.md.
//
// Threads: any.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "http/exchange.h"
#include "runner/json_body.h"
#include "runner/loaded_model.h"
#include "runner/patience.h"
#include "runner/work_queue.h"

namespace quipu::runner {

struct EmbedInputs {
  std::vector<std::vector<Token>> tokens;  // of each input, as the model gets them
  int64_t n_ctx = 0;
  double max_seconds = 0;  // as in RunLimits, with since
  std::optional<std::chrono::steady_clock::time_point> since;
  int64_t dimensions = 0;  // 0: all
  bool normalise = true;
};

// The tokens of a text and the BOS and EOS that the tokenizer adds, n_ctx at most. Of a text that is too long
// its first tokens stay; or it is refused.
Result<std::vector<Token>> encode_for_embedding(const Tokenizer& tokenizer, const std::string& text,
                                                int64_t n_ctx, bool may_truncate);

// Reads and tokenises a request.
Result<EmbedInputs> read_embed_inputs(const LoadedModel& model, const Json& body, Patience& patience);

// A mean of hidden states as it is answered: normalised, cut to `dimensions` (0: not), normalised again.
// kInvalidArgument where it is no number.
Result<void> shape_embedding(std::vector<float>& values, bool normalise, int64_t dimensions);

// Submits the inputs, a few at a time, and answers when all are there. An error: nothing has been answered.
Result<void> start_embedding(LoadedModel& model, std::shared_ptr<WorkQueue> queue,
                             std::shared_ptr<http::Exchange> exchange, EmbedInputs inputs);

}  // namespace quipu::runner
