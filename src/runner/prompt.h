// From what a request says to the tokens of its prompt: template, dropping of old messages, truncation.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "runner/generate_request.h"
#include "runner/loaded_model.h"
#include "runner/patience.h"
#include "runner/template_cache.h"

namespace quipu::runner {

// What stands around a model's thinking.
struct ThinkingTags {
  std::string open, close;
};

struct Prompt {
  std::vector<Token> tokens;
  std::string text;  // whole, also where tokens were dropped
  // Of the answer's thinking, if it thinks and its template tells how.
  std::optional<ThinkingTags> thinking;
  int64_t dropped_messages = 0;
  int64_t dropped_tokens = 0;
};

// The text and all its tokens, and nothing cut but messages: `limits` gives num_ctx. The oldest messages
// (system messages and the last one aside) are dropped until the prompt fits, if they may be.
Result<Prompt> render_prompt(const LoadedModel& model, TemplateCache& templates,
                             const GeneratePrompt& request, const RunLimits& limits, Patience& patience);

// The same, ready for the engine. What is still too long loses tokens from the middle, as num_keep says; or
// it is refused with both numbers, where that may not be (truncate, shift).
Result<Prompt> make_prompt(const LoadedModel& model, TemplateCache& templates, const GeneratePrompt& request,
                           const GenerateOptions& options, Patience& patience);

// After how many of a prompt's tokens messages end, rising: where tokens stand that end an answer. One in
// front of everything is a BOS that means both.
std::vector<int64_t> message_ends(const Tokenizer& tokenizer, std::span<const Token> prompt);

}  // namespace quipu::runner
