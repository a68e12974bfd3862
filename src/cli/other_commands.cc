// version, completion, man: commands about the program itself.
#include "cli/client_command.h"
#include "cli/commands.h"
#include "cli/completion.h"
#include "cli/http_api.h"
#include "cli/man_page.h"

namespace quipu::cli {

namespace {

constexpr const char* kOllamaApi = "0.32.15";  // the level of Ollama's interface that this program stands for

}  // namespace

int version_command(std::span<const std::string> args) {
  return run_command_with("version", args, [](Console& console, const Arguments&) -> Result<void> {
    console.out(fmt::format("quipu version is {} (Ollama API {})\n", QUIPU_VERSION, kOllamaApi));
    const auto server = find_server(console);
    if (!server) {
      if (server.error().code == Code::kCancelled) return std::unexpected(server.error());
      console.err_line("Warning: could not connect to a running Ollama instance");
    } else if (const ServerVersion& version = (*server)->version(); !version.is_quipu()) {
      console.out_text(fmt::format("ollama version is {}\n", version.ollama));
    }
    return {};
  });
}

int completion_command(std::span<const std::string> args) {
  return run_command_with("completion", args, [](Console& console, const Arguments& a) -> Result<void> {
    const auto script = completion_for(a.words[0]);
    if (!script)
      return wrong_usage(
          fmt::format("there are completions for bash, zsh and fish, not for '{}'", a.words[0]));
    console.out(*script);
    return {};
  });
}

int man_command(std::span<const std::string> args) {
  return run_command_with("man", args, [](Console& console, const Arguments& a) -> Result<void> {
    if (a.words.empty()) {
      console.out("quipu\n");
      for (const Command& c : command_table())
        if (c.is_shown()) console.out(fmt::format("quipu-{}\n", c.name));
      return {};
    }
    std::string_view page = a.words[0];
    if (page == "quipu") {
      console.out(man_page(QUIPU_VERSION));
      return {};
    }
    if (page.starts_with("quipu-")) page.remove_prefix(6);
    const Command* command = find_command(page);
    if (command == nullptr || !command->is_shown())
      return wrong_usage(fmt::format("there is no page '{}'", a.words[0]));
    console.out(man_page(*command, QUIPU_VERSION));
    return {};
  });
}

}  // namespace quipu::cli
