// The logger: to stderr, as text or with QUIPU_LOG_FORMAT=json one object a line.
//
// Threads: init_log() once at start, before there are others; logging from any thread.
#pragma once

#include <spdlog/spdlog.h>

#include <string>

namespace quipu {

// Reads QUIPU_LOG_FORMAT and QUIPU_DEBUG or OLLAMA_DEBUG (1: debug, 2: trace). Without the latter warnings
// and above are shown, with `verbose` also what is worth knowing.
void init_log(bool verbose = false);

// What is wrong with QUIPU_LOG_FORMAT, in a sentence; empty: nothing. The first init_log() warns of it.
std::string bad_log_format();

}  // namespace quipu
