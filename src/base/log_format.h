// What is wrong with QUIPU_LOG_FORMAT, for whoever examines settings.
//
// Threads: pure but for the environment.
#pragma once

#include <string>

namespace quipu {

// A sentence; empty: nothing.
std::string bad_log_format();

}  // namespace quipu
