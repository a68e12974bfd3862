// What `show` and `/show info` say of a model. Spec: ollama-compat 3.4.
//
// Threads: pure functions.
#pragma once

#include <string>

#include "cli/json.h"

namespace quipu::cli {

// `shown` is the answer of /api/show; with `verbose` metadata and tensors too.
std::string show_text(const Json& shown, bool verbose);

// Facts of a model from the same answer.
bool has_capability(const Json& shown, std::string_view name);
bool sees_files(const Json& shown);          // takes images or sounds
int64_t trained_context(const Json& shown);  // tokens; 0: not known

}  // namespace quipu::cli
