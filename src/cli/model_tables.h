// The tables of `list` and `ps`. Spec: ollama-compat 3.2, 3.3.
//
// Threads: pure functions.
#pragma once

#include <string>
#include <string_view>

#include "cli/human.h"
#include "cli/json.h"

namespace quipu::cli {

// `tags`: the answer of /api/tags. Of the models only those whose name begins with the prefix, without regard
// to case.
std::string list_text(const Json& tags, std::string_view prefix, Moment now);

// `ps`: the answer of /api/ps. Here case counts.
std::string ps_text(const Json& ps, std::string_view prefix, Moment now);

// Below it with -v: the memory of each, by category.
std::string ps_memory_text(const Json& ps, std::string_view prefix);

}  // namespace quipu::cli
