// The logger: stderr, one line per event. QUIPU_LOG_FORMAT=json and OLLAMA_DEBUG are read once by init_log().
#pragma once

#include <spdlog/spdlog.h>

namespace quipu {

// Sets level and format from the environment; warnings and above unless `verbose` or OLLAMA_DEBUG is set.
void init_log(bool verbose = false);

}  // namespace quipu
