// The program: finds the command and hands it the rest of the line.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <exception>
#include <iostream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "cli/run_command.h"
#if QUIPU_HAS_RUNNER
#include "runner/command.h"
#include "server/command.h"
#include "workbench/commands.h"
#endif

namespace quipu::cli {

namespace {

constexpr const char* kVersion = QUIPU_VERSION;
constexpr const char* kOllamaApi = "0.32.15";  // the level of Ollama's interface that this program stands for

struct Command {
  const char* name;
  const char* arguments;
  const char* help;  // null: not for people
  int (*run)(std::span<const std::string> args);
};

constexpr std::array kCommands = {
    Command{"run", "FILE [PROMPT...]", "Chat with a model, or answer one prompt", run_command},
#if QUIPU_HAS_RUNNER
    Command{"serve", "", "Serve models over HTTP, as Ollama does", server::serve_command},
    Command{"plan", "FILE", "What a model will take, category by category, before it is loaded",
            workbench::plan_command},
    Command{"bench", "FILE", "Speed of a model, beside what this machine can do at most",
            workbench::bench_command},
    Command{"tokenize", "FILE [TEXT]", "Text to tokens and back", workbench::tokenize_command},
    Command{"logits", "FILE", "Logits of given tokens, to a file", workbench::logits_command},
    Command{"perplexity", "FILE TEXT_FILE", "Perplexity of a text", workbench::perplexity_command},
    Command{"runner", "", nullptr, runner::runner_command},
#endif
};

std::string help() {
  std::string out =
      "Runs language models on this machine: explained, predicted, small memory\n\n"
      "Usage:\n"
      "  quipu COMMAND [ARGUMENTS...] [flags]\n\n"
      "Commands:\n";
  for (const Command& c : kCommands)
    if (c.help != nullptr)
      out += fmt::format("  {:<28} {}\n", fmt::format("{} {}", c.name, c.arguments), c.help);
  out += fmt::format("  {:<28} {}\n", "help [COMMAND]", "This page, or a command's");
  out +=
      "\nFlags:\n"
      "  -h, --help                   This page; after a command, that command's\n"
      "  -v, --version                The version\n";
  return out;
}

const Command* find(std::string_view name) {
  for (const Command& c : kCommands)
    if (name == c.name) return &c;
  return nullptr;
}

// A page that nobody received is a failure.
int show(const std::string& page) { return std::cout << page << std::flush ? 0 : 1; }

int usage(const std::string& sentence) {
  std::cerr << "Error: " << sentence << "\n";
  return 2;
}

int dispatch(std::vector<std::string> args) {
  if (args.empty() || args[0] == "-h" || args[0] == "--help") {
    return show(help());
  }
  if (args[0] == "-v" || args[0] == "--version") {
    return show(fmt::format("quipu version is {} (Ollama API {})\n", kVersion, kOllamaApi));
  }
  if (args[0] == "help") {
    if (args.size() == 1) return dispatch({"--help"});
    args = {args[1], "--help"};
  }
  const Command* command = find(args[0]);
  if (command == nullptr) {
    if (args[0].starts_with('-'))
      return usage(fmt::format("unknown flag: {} (quipu --help lists them)", args[0]));
    return usage(fmt::format("unknown command \"{}\" for \"quipu\"", args[0]));
  }
  return command->run(std::span<const std::string>(args).subspan(1));
}

// A program started without its standard descriptors would find a model file or a socket in their place.
void fill_standard_descriptors() {
  for (int fd : {0, 1, 2})
    if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd) return;
}

}  // namespace

}  // namespace quipu::cli

int main(int argc, char** argv) try {
  quipu::cli::fill_standard_descriptors();
  quipu::init_log();
  return quipu::cli::dispatch({argv + (argc > 0 ? 1 : 0), argv + argc});
} catch (const std::exception& e) {
  std::cerr << "Error: " << e.what() << "\n";
  return 1;
}
