// `quipu serve`: the server in the foreground until SIGINT or SIGTERM.
//
// With --private it serves one model file to whoever started it: on a Unix socket, parallel 1, without a store.
// It says one line of JSON on standard output, as a runner does (docs/runner-protocol.md), and ends when its
// standard input closes or its parent dies.
#pragma once

#include <span>
#include <string>

namespace quipu::server {

int serve_command(std::span<const std::string> args);

}  // namespace quipu::server
