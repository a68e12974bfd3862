// The user's own editor for a message.
#pragma once

#include <string>

#include "base/result.h"

namespace quipu::cli {

// Opens `text` in $QUIPU_EDITOR, $OLLAMA_EDITOR, $VISUAL, $EDITOR or vi, and returns what was saved, without
// the newline that editors put at the end. The terminal has to be in its ordinary mode.
Result<std::string> edit_text(const std::string& text);

}  // namespace quipu::cli
