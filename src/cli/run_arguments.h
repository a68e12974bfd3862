// What `quipu run` was asked for.
#pragma once

#include <optional>
#include <string>

#include "cli/arguments.h"
#include "cli/json.h"

namespace quipu::cli {

struct RunArguments {
  std::string model;        // a name or a file
  std::string prompt;       // the words after it, joined by spaces
  bool has_prompt = false;  // there are such words; "" is one
  Json options = Json::object();
  std::string system, template_text;
  bool raw = false, verbose = false, word_wrap = true, hide_thinking = false, insecure = false;
  Json think;       // null: not said; true, false or a level
  Json format;      // null: any text; "json" or a schema
  Json keep_alive;  // null: the server's own; as requests have it
  // Of embeddings.
  std::optional<bool> truncate;
  int64_t dimensions = 0;  // 0: all
};

// kInvalidArgument: wrong usage, one sentence. Other codes: a file that was named cannot be read.
Result<RunArguments> read_run_arguments(const Arguments& arguments);

}  // namespace quipu::cli
