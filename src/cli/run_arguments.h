// The command line of `quipu run`.
//
// It is read by a loop of its own: a general parser would take a prompt or a stop string such as "[/INST]" or
// "{}" for syntax, and these have to arrive as they were written.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "cli/run_options.h"

namespace quipu::cli {

struct RunArguments {
  bool help = false;
  std::string model;
  std::string prompt;  // the words after the model, joined by spaces
  Json options = Json::object();
  std::string system, template_text;
  bool raw = false, verbose = false, word_wrap = true, hide_thinking = false;
  std::optional<std::string> think;  // "true", "false", "low", "medium", "high", "max"
  std::optional<std::string> format;
};

// kInvalidArgument: wrong usage, one sentence.
Result<RunArguments> parse_run_arguments(std::span<const std::string> args);

// What `quipu run --help` prints.
std::string run_help();

}  // namespace quipu::cli
