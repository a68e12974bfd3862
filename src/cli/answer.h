// One answer on its way from the server to the terminal.
#pragma once

#include <string>

#include "cli/api.h"
#include "cli/console.h"

namespace quipu::cli {

struct Answer {
  std::string text, thinking;
  bool cancelled = false;  // by Ctrl-C, or because nobody reads the output any more
  Json done;               // the server's last object; null when it never came
};

struct ViewOptions {
  bool word_wrap = true;  // on terminals
  bool verbose = false;
  bool hide_thinking = false;
};

// Where and what is asked: /api/generate or /api/chat.
struct Question {
  std::string path;
  Json body;
};

// Sends the question and prints the answer as it comes, then two newlines. After that it says on standard
// error how the answer ended, where that is unusual, and with `verbose` timings and memory.
Result<Answer> stream_answer(Api& api, const Question& question, const ViewOptions& view, Console& console);

// Context of the model as it is loaded, for one sequence; 0: not known.
int64_t loaded_context(Api& api, const std::string& model);

}  // namespace quipu::cli
