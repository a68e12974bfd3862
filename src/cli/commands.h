// The commands of this folder. Each takes the arguments after its name and returns the exit code: 0 success,
// 1 failure, 2 wrong usage, 128 and a signal's number. Results go to standard output, everything else to
// standard error.
//
// Threads: the main thread.
#pragma once

#include <span>
#include <string>

namespace quipu::cli {

int run_command(std::span<const std::string> args);  // chat with a model, or answer one prompt

int list_command(std::span<const std::string> args);
int ps_command(std::span<const std::string> args);
int show_command(std::span<const std::string> args);
int create_command(std::span<const std::string> args);
int copy_command(std::span<const std::string> args);
int remove_command(std::span<const std::string> args);
int stop_command(std::span<const std::string> args);
int pull_command(std::span<const std::string> args);
int push_command(std::span<const std::string> args);

int version_command(std::span<const std::string> args);
int completion_command(std::span<const std::string> args);
int man_command(
    std::span<const std::string> args);  // a manual page's source; without an argument, the pages' names

}  // namespace quipu::cli
