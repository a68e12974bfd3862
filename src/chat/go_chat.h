// From a conversation to a prompt by a Go template, in the steps of Ollama: marks for images, messages of one
// role put together, then the template, once for the conversation or once for each turn.
//
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "base/result.h"
#include "chat/go_template.h"
#include "chat/message.h"

namespace quipu {

struct GoChatInput {
  std::span<const Message> messages = {};
  const nlohmann::ordered_json* tools = nullptr;  // as in a request to /api/chat; null: none
  Think think = Think::absent();
  // With both of them the template gets these and no messages: text to fill in between.
  std::string prompt = {}, suffix = {};
  int64_t now_unix = 0;  // seconds since 1970, UTC; currentDate tells the local day of it
  // Asked now and then; true ends the rendering with an error. Empty: never.
  std::function<bool()> stop = {};
};

// Image number n of the conversation, counted from 0, stands in the prompt as [img-n].
//
// What is wrong with the messages or tools is kInvalidArgument; what goes wrong in the template is kCorrupt
// with Go's message.
Result<std::string> render_go_chat(const GoTemplate& chat_template, const GoChatInput& input);

}  // namespace quipu
