// From a request's JSON to the tokens of its prompt: template, dropping of old messages, truncation.
#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "base/result.h"
#include "engine/request.h"
#include "runner/loaded_model.h"

namespace quipu::runner {

struct Prompt {
  std::vector<Token> tokens;
  int64_t dropped_messages = 0;
  int64_t dropped_tokens = 0;
};

// `options` gives num_ctx, num_keep and shift. With "messages", the oldest (system messages and the last one
// aside) are dropped until the prompt fits; then, and for "prompt", "truncate" decides between dropping
// tokens from the middle and an error with both numbers.
Result<Prompt> make_prompt(const LoadedModel& model, const nlohmann::json& body,
                           const GenerateOptions& options);

}  // namespace quipu::runner
