// A command line read by the table of commands.
//
// It is read by a loop of its own: a general parser would take a prompt or a stop string such as "[/INST]" or
// "{}" for syntax, and these have to arrive as they were written.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "cli/command_table.h"

namespace quipu::cli {

struct Arguments {
  bool help = false;               // nothing after --help was looked at
  std::vector<std::string> words;  // what is no flag
  std::vector<std::pair<std::string, std::string>>
      flags;  // by name, in their order; switches are "true" or "false"

  // The last value given.
  std::optional<std::string> value(std::string_view flag) const;
  bool on(std::string_view flag) const { return value(flag) == "true"; }
};

// kInvalidArgument: wrong usage, one sentence.
Result<Arguments> parse_arguments(const Command& command, std::span<const std::string> args);

}  // namespace quipu::cli
