// What the workbench's commands share: parsing their options and reporting how they ended.
#pragma once

#include <span>
#include <string>

#include <CLI/CLI.hpp>

#include "base/result.h"
#include "model/model.h"

namespace quipu::workbench {

inline constexpr int kOk = 0, kFailed = 1, kUsage = 2;

// Parses `args` into the app's variables. False: *code is the exit code (0 after --help) and everything is printed.
bool parse(CLI::App& app, std::span<const std::string> args, int* code);

// Prints "Error: SENTENCE" to stderr and returns kFailed, or kUsage for an invalid argument.
int report(const Error& e);

// "f16", "f32", or "K:V". Other cache types are kUnsupported.
Result<KvTypes> parse_kv_types(const std::string& text);
std::string kv_types_name(KvTypes types);  // "f16:f16"

// "1,2,3"
Result<std::vector<int32_t>> parse_ids(const std::string& text);

}  // namespace quipu::workbench
