// From a conversation to the text that the model continues: the model's own chat template, or ChatML where it
// has none.
//
// Threads: immutable once created; render() may run from several threads.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "base/result.h"
#include "chat/jinja.h"
#include "chat/message.h"

namespace quipu {

struct RenderOptions {
  bool add_generation_prompt = true;  // ends with the beginning of an answer
  int64_t now_unix = 0;               // seconds since 1970, UTC; strftime_now tells the local time of it
  const nlohmann::ordered_json* tools = nullptr;  // as in a request; null: none
  Think think = {};                               // given: enable_thinking, and with a level reasoning_effort
  // Asked now and then; true ends the rendering with an error. Empty: never.
  std::function<bool()> stop = {};
};

class ChatTemplate {
 public:
  // `source`: a Jinja template; empty: ChatML. `bos` and `eos` are the texts of the tokens, empty where there
  // is none.
  static Result<ChatTemplate> create(std::string source, std::string bos, std::string eos);

  // What the template itself refuses (a system message, roles out of order) is kInvalidArgument with its own
  // words. So are tools and tool calls that are nested too deeply.
  Result<std::string> render(std::span<const Message> messages, const RenderOptions& options) const;

 private:
  ChatTemplate(jinja::Template parsed, std::string bos, std::string eos)
      : template_(std::move(parsed)), bos_(std::move(bos)), eos_(std::move(eos)) {}

  jinja::Template template_;
  std::string bos_, eos_;
};

}  // namespace quipu
