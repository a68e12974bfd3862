// What --help prints, from the table of commands.
//
// Threads: pure functions.
#pragma once

#include <string>

#include "cli/command_table.h"

namespace quipu::cli {

std::string help_page();
std::string help_page(const Command& command);

// "--flag VALUE", "--flag[=VALUE]"
std::string flag_syntax(const Flag& flag);

}  // namespace quipu::cli
