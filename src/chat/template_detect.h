// Which of the well-known chat templates a model's Jinja template is, give or take a few characters.
//
// Threads: pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace quipu {

struct DetectedTemplate {
  std::string name;         // "chatml"
  std::string go_template;  // the same chat format in Go's language
  std::vector<std::string> stop;
};

// The nearest known template, if fewer than 100 characters have to be inserted, deleted or replaced to get
// there. The known ones are alfred, alpaca, chatml, chatqa, codellama-70b-instruct, command-r,
// falcon-instruct, gemma-instruct, gemma3-instruct, granite-instruct, llama2-chat, llama3-instruct,
// magicoder, mistral-instruct, openchat, phi-3, solar-instruct, starcoder2-instruct and zephyr.
std::optional<DetectedTemplate> detect_template(std::string_view jinja);

// How many characters have to be inserted, deleted or replaced to turn one text into the other; nullopt:
// `limit` or more.
std::optional<size_t> edit_distance(std::u32string_view a, std::u32string_view b, size_t limit);

}  // namespace quipu
