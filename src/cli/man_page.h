// Manual pages (roff), from the table of commands.
//
// Threads: pure functions.
#pragma once

#include <string>

#include "cli/command_table.h"

namespace quipu::cli {

std::string man_page(std::string_view version);                          // quipu(1)
std::string man_page(const Command& command, std::string_view version);  // quipu-COMMAND(1)

}  // namespace quipu::cli
