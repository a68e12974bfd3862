// What a request to /generate asks for, read and checked: docs/runner-protocol.md.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "chat/message.h"
#include "engine/request.h"
#include "runner/json_body.h"
#include "runner/run_options.h"
#include "runner/template_cache.h"

namespace quipu::runner {

struct GeneratePrompt {
  std::vector<Message> messages;  // empty: `prompt` is what counts
  std::string prompt, system, suffix;
  bool raw = false;
  std::optional<TemplateText> chat_template;  // in place of the model's own
  Json tools;                                 // an array, or null
  Think think;
  std::vector<Token> context;  // their text goes in front
  bool truncate = true;
  bool drop_messages = true;  // the oldest, until the prompt fits
};

struct GenerateCall {
  GeneratePrompt prompt;
  GenerateOptions options;
  int64_t default_n_ctx = 0;  // where the options have none: as much of it as the budget holds
  bool return_context = false, render_only = false;
};

// Token ids in a field of that name, each below n_vocab; absent and null are none.
Result<std::vector<Token>> tokens_field(const Json& object, const char* name, int64_t n_vocab);

Result<GenerateCall> read_generate(const Json& body, int64_t n_vocab, UnknownOptions& unknown);

}  // namespace quipu::runner
