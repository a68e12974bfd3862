// What all commands that talk to a server have in common: reading the line, finding the server, saying what
// went wrong, the exit code.
//
// Threads: the main thread.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "cli/api.h"
#include "cli/arguments.h"
#include "cli/console.h"

namespace quipu::cli {

inline constexpr int kOk = 0, kFailed = 1, kUsage = 2, kBySignal = 128;

// The server that the environment names; warns where its version is not this program's. kUnavailable with
// nobody_listens() where none is there.
Result<std::shared_ptr<Api>> find_server(Console& console);
// The same, in the words for users.
Result<std::shared_ptr<Api>> connect(Console& console);
// Whether a server that is not there could be this machine's own.
bool server_would_be_local();

// An error that the exit code 2 belongs to.
std::unexpected<Error> wrong_usage(std::string sentence);

// Reports the error unless a signal or a lost reader is behind it; the exit code.
int fail(Console& console, const Error& e);
// After success: whether standard output took everything.
int finish(Console& console);

// Runs `work` on the arguments of the command `name`; --help, wrong usage and failures are dealt with.
int run_command_with(const char* name, std::span<const std::string> args,
                     const std::function<Result<void>(Console&, const Arguments&)>& work);
// The same with a server.
int run_client_command(const char* name, std::span<const std::string> args,
                       const std::function<Result<void>(Console&, const Arguments&, Api&)>& work);

}  // namespace quipu::cli
