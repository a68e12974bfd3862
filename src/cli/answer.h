// One answer on its way from the runner to the terminal.
#pragma once

#include <string>

#include "cli/console.h"
#include "cli/runner_connection.h"

namespace quipu::cli {

struct Answer {
  std::string text;
  bool cancelled = false;  // by Ctrl-C, or because nobody reads the output any more
  Json done;               // the runner's last line; null when cancelled
};

struct ViewOptions {
  bool word_wrap = true;  // on terminals
  bool verbose = false;
};

// Sends the request and prints the answer as it comes, then two newlines. After that it says on standard
// error how the answer ended, where that is unusual, and with `verbose` timings and memory.
Result<Answer> stream_answer(RunnerConnection& runner, const Json& request, const ViewOptions& view,
                             int64_t num_ctx, Console& console);

}  // namespace quipu::cli
