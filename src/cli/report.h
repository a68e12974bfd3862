// What the program says about a model and about an answer that is over. Pure text; nothing is written here.
#pragma once

#include <string>

#include "cli/run_options.h"

namespace quipu::cli {

// `done` is the last line of an answer, `load_ns` the time of the load that went before it (0: none).
// Ollama's lines; zero values are left out.
std::string metrics_text(const Json& done, int64_t load_ns);

// Planned and measured bytes by category, from the runner's memory object.
std::string memory_text(const Json& memory);

// One line when an answer ended for a reason that its reader should know; else empty.
std::string stop_notice(const Json& done, int64_t num_ctx, const Json& options);
std::string dropped_notice(int64_t messages, int64_t num_ctx);

// "134.52M", "8B"
std::string parameter_count(uint64_t n);

// The blocks of `/show info`. `options` are what the user has set.
std::string info_text(const Json& info, const std::string& file, const std::string& system,
                      const Json& options);

// `/show modelfile`: what can be said of a file without a store.
std::string modelfile_text(const Json& info, const std::string& file, const std::string& system,
                           const Json& options);

// A field of an object, or the fallback where it is missing or of another type.
int64_t number_of(const Json& object, const char* key, int64_t fallback = 0);
std::string text_of(const Json& object, const char* key);

}  // namespace quipu::cli
