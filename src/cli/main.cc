// The program: finds the command and hands it the rest of the line.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <exception>
#include <iostream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "cli/command_table.h"
#include "cli/commands.h"
#include "cli/console.h"
#include "cli/help_page.h"
#include "runner/command.h"
#include "server/command.h"
#include "workbench/commands.h"

namespace quipu::cli {

namespace {

struct Entry {
  const char* name;  // as in the table of commands
  int (*run)(std::span<const std::string> args);
};

constexpr std::array kEntries = {
    Entry{"serve", server::serve_command},
    Entry{"run", run_command},
    Entry{"ps", ps_command},
    Entry{"stop", stop_command},
    Entry{"list", list_command},
    Entry{"show", show_command},
    Entry{"create", create_command},
    Entry{"cp", copy_command},
    Entry{"rm", remove_command},
    Entry{"pull", pull_command},
    Entry{"push", push_command},
    Entry{"plan", workbench::plan_command},
    Entry{"fit", workbench::fit_command},
    Entry{"doctor", workbench::doctor_command},
    Entry{"bench", workbench::bench_command},
    Entry{"tokenize", workbench::tokenize_command},
    Entry{"logits", workbench::logits_command},
    Entry{"perplexity", workbench::perplexity_command},
    Entry{"version", version_command},
    Entry{"completion", completion_command},
    Entry{"man", man_command},
    Entry{"runner", runner::runner_command},
};

// A page that nobody received is a failure.
int show(const std::string& page) {
  SignalWatch signals;
  Console console(STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO, signals);
  return console.out_page(page) && console.out_error() == 0 ? 0 : 1;
}

int refuse(int code, const std::string& sentence) {
  std::cerr << "Error: " << sentence << "\n";
  return code;
}

int dispatch(std::vector<std::string> args) {
  if (args.empty() || args[0] == "-h" || args[0] == "--help") return show(help_page());
  if (args[0] == "-v" || args[0] == "--version") args[0] = "version";
  if (args[0] == "help") {
    if (args.size() == 1 || args[1].starts_with('-')) return show(help_page());
    args = {args[1], "--help"};
  }
  const Command* command = find_command(args[0]);
  if (command == nullptr && args[0].starts_with('-'))
    return refuse(2, fmt::format("unknown flag: {} (quipu --help lists them)", args[0]));
  if (command == nullptr) return refuse(2, fmt::format("unknown command \"{}\" for \"quipu\"", args[0]));
  if (command->kind == Kind::kRefused)
    return refuse(1, fmt::format("{}: {}", command->name, command->summary));
  // serve reads its line itself, but has nothing to say that the table does not.
  const bool help = args.size() > 1 && (args[1] == "-h" || args[1] == "--help");
  if (help && command->flags.empty()) return show(help_page(*command));
  for (const Entry& e : kEntries)
    if (e.name == command->name) return e.run(std::span<const std::string>(args).subspan(1));
  return show(help_page(*command));  // help help
}

// A program started without its standard descriptors would find a model file or a socket in their place.
void fill_standard_descriptors() {
  for (int fd : {0, 1, 2})
    if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd) return;
}

}  // namespace

}  // namespace quipu::cli

int main(int argc, char** argv) try {
  prctl(PR_SET_NAME,
        "quipu");  // servers and runners are started as /proc/self/exe: "exe" in a list of processes
  quipu::cli::fill_standard_descriptors();
  quipu::init_log();
  return quipu::cli::dispatch({argv + (argc > 0 ? 1 : 0), argv + argc});
} catch (const std::exception& e) {
  std::cerr << "Error: " << e.what() << "\n";
  return 1;
}
