// What the program says about an answer that is over and about memory. Pure text; nothing is written here.
#pragma once

#include <string>

#include "cli/json.h"

namespace quipu::cli {

// `done` is the last object of an answer. Ollama's lines, and below them what a Quipu adds; zero values are
// left out.
std::string metrics_text(const Json& done);

// Planned and measured bytes by category, from a memory object.
std::string memory_text(const Json& memory);

// Of a plan that does not fit ({"memory","machine"}): what is needed, what there is. Empty where there is no
// plan.
std::string plan_text(const Json& plan);

// One line when an answer ended for a reason that its reader should know; else empty. num_ctx 0: not known.
std::string stop_notice(const Json& done, int64_t num_ctx, const Json& options);
// That older text was left out so that the answer could go on; empty: it was not.
std::string shift_notice(const Json& done);

std::string dropped_notice(int64_t messages, int64_t num_ctx);

}  // namespace quipu::cli
