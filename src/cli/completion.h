// Completions for shells, from the table of commands.
//
// Threads: pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace quipu::cli {

std::string bash_completion();
std::string zsh_completion();
std::string fish_completion();

// By the shell's name; nothing: unknown.
std::optional<std::string> completion_for(std::string_view shell);

}  // namespace quipu::cli
