#include "cli/help_page.h"

#include <fmt/format.h>

namespace quipu::cli {

namespace {

void append_variables(std::string& out, const Command& command) {
  if (command.variables.empty()) return;
  out += "\nEnvironment Variables:\n";
  for (const std::string& name : command.variables) {
    const EnvironmentVariable* v = find_variable(name);
    if (v == nullptr) continue;
    const std::string names = v->other.empty() ? v->name : v->name + ", " + v->other;
    if (names.size() < 26)
      out += fmt::format("      {:<26} {}\n", names, v->help);
    else
      out += fmt::format("      {}\n{:33}{}\n", names, "", v->help);
  }
}

void append_flag(std::string& out, const Flag& flag) {
  const std::string letter = flag.letter != 0 ? fmt::format("-{}, ", flag.letter) : "    ";
  out += fmt::format("  {}{:<26} {}\n", letter, flag_syntax(flag), flag.help);
}

}  // namespace

std::string flag_syntax(const Flag& flag) {
  switch (flag.takes) {
    case Takes::kValue:
      return fmt::format("--{} {}", flag.name, flag.value);
    case Takes::kMaybe:
      return fmt::format("--{}[={}]", flag.name, flag.value);
    default:
      return "--" + flag.name;
  }
}

std::string help_page() {
  std::string out =
      "Runs language models on this machine: explained, predicted, small memory\n\n"
      "Usage:\n"
      "  quipu COMMAND [ARGUMENTS...] [flags]\n\n"
      "Commands:\n";
  for (const Command& c : command_table())
    if (c.is_shown())
      out +=
          fmt::format("  {:<30} {}\n", c.arguments.empty() ? c.name : c.name + " " + c.arguments, c.summary);
  return out +
         "\nFlags:\n"
         "  -h, --help                     This page; after a command, that command's\n"
         "  -v, --version                  The version\n"
         "\nExit code: 0 success, 1 failure, 2 wrong usage, 130 ended by Ctrl-C.\n";
}

std::string help_page(const Command& command) {
  std::string out = command.summary + "\n\nUsage:\n  quipu " + command.name;
  if (!command.arguments.empty()) out += " " + command.arguments;
  out += command.flags.empty() ? "\n" : " [flags]\n";
  if (!command.aliases.empty()) {
    out += "\nAliases:\n  " + command.name;
    for (const std::string& alias : command.aliases) out += ", " + alias;
    out += "\n";
  }
  if (!command.details.empty()) out += "\n" + command.details + "\n";
  out += "\nFlags:\n";
  for (const Flag& f : command.flags) append_flag(out, f);
  append_flag(out, {.name = "help", .letter = 'h', .value = {}, .help = "this page"});
  if (command.takes_run_options) {
    out += "\nOptions of the run, each also under /set parameter NAME in a conversation:\n";
    for (const Flag& f : run_option_flags()) append_flag(out, f);
  }
  append_variables(out, command);
  return out;
}

}  // namespace quipu::cli
