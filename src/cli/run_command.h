// `quipu run`: a conversation with a model, or one answer.
#pragma once

#include <span>
#include <string>

namespace quipu::cli {

// The arguments after the command's name; the exit code.
int run_command(std::span<const std::string> args);

}  // namespace quipu::cli
