// `quipu serve`: the server in the foreground until SIGINT or SIGTERM.
//
// With --private it serves whoever started it, on a Unix socket, one sequence at a time: one model file,
// without a store, or without --model the user's store. It says one line of JSON on standard output, as a
// runner does (docs/runner-protocol.md), and ends when its standard input closes or its parent dies.
#pragma once

#include <span>
#include <string>

namespace quipu::server {

int serve_command(std::span<const std::string> args);

}  // namespace quipu::server
