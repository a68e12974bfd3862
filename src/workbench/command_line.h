// What the workbench's commands share: parsing their options, reading their input, reporting how they ended.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <span>
#include <string>

#include "base/result.h"

namespace quipu::workbench {

inline constexpr int kOk = 0, kFailed = 1, kUsage = 2;
inline constexpr int64_t kMostContext = int64_t{1} << 30;  // what a flag may ask for; the machine allows less

// For an option's check().
CLI::Validator between(int64_t least, int64_t most);

// --threads, by default QUIPU_THREADS.
void add_threads(CLI::App& app, int& threads);

// num_ctx of models that say none, as a server has it: QUIPU_CONTEXT_LENGTH. 0: the trained length. A value
// that makes no sense is told and passed over, as by a server.
int64_t context_setting();

// Parses `args` into the app's variables. False: *code is the exit code (0 after --help) and everything is
// printed.
bool parse(CLI::App& app, std::span<const std::string> args, int* code);

// Runs a command and turns its end into an exit code: an error is one sentence on standard error, with what
// belongs to it (a table) below; results that cannot be written are an error too.
int finish(const std::function<Result<void>()>& command);

// "1,2,3"
Result<std::vector<int32_t>> parse_ids(const std::string& text);

// All of a file, or with "-" of standard input; any bytes.
Result<std::string> read_text(const std::string& path);

}  // namespace quipu::workbench
