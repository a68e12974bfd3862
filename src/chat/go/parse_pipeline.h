// The expressions of the language: pipelines of commands.
//
// Threads: belongs to one parse.
#pragma once

#include <string_view>

#include "chat/go/ast.h"
#include "chat/go/parse_state.h"

namespace quipu::gotmpl {

// Reads a pipeline and the token behind it, which is of kind `end`. `context`: what it belongs to, for
// complaints.
PipePtr parse_pipeline(ParseState& state, std::string_view context, TokenKind end);

}  // namespace quipu::gotmpl
