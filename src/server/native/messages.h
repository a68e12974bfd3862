// What a request says to a model, and how it is put to the runner: prompt or messages, with what the model
// itself brings along. Spec: ollama-compat 1.3.4, 1.4 ("Building the prompt"), 1.5.
//
// Threads: pure functions.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "server/request_body.h"
#include "store/model_info.h"

namespace quipu::server::native {

struct GenerateInput {
  std::string prompt, suffix, system, template_text;
  std::vector<int64_t> context;
  std::vector<std::string> images;  // base64, checked
  bool raw = false;
};
Result<GenerateInput> read_generate_input(const Fields& fields);

// The messages of a request, checked, in the runner's and the store's form.
Result<Json> read_messages(const Fields& fields);

struct ChatInput {
  Json messages = Json::array();  // in the runner's form
  Json tools = Json::array();
  // Of ours, under "quipu": whether old messages may be dropped (absent: as truncate), a Go template in place
  // of the model's.
  std::optional<bool> drop_messages;
  std::string template_text;
};
Result<ChatInput> read_chat_input(const Fields& fields);

// Adds what the runner needs to a body for POST /generate.
void add_prompt(Json& body, const GenerateInput& in, const store::ModelInfo& model);
void add_messages(Json& body, const ChatInput& in, const store::ModelInfo& model);

}  // namespace quipu::server::native
