// Commands that are a request or two: list, ps, show, cp, rm, stop.
#include <algorithm>
#include <array>

#include "cli/client_command.h"
#include "cli/commands.h"
#include "cli/model_tables.h"
#include "cli/render.h"
#include "cli/show_text.h"

namespace quipu::cli {

namespace {

constexpr int kWatchMilliseconds = 1'000;

std::string first_word(const Arguments& a) { return a.words.empty() ? std::string() : a.words[0]; }

// Empty prompt, no time to live: unload it.
Json unload_request(const std::string& model) {
  return {{"model", model}, {"prompt", ""}, {"keep_alive", 0}};
}

Result<void> show(Console& console, const Arguments& a, Api& api) {
  struct Section {
    const char* flag;
    bool newline;
  };
  static constexpr std::array kSections = {Section{"license", true}, Section{"modelfile", true},
                                           Section{"parameters", true}, Section{"system", false},
                                           Section{"template", false}};
  const Section* wanted = nullptr;
  for (const Section& s : kSections)
    if (a.on(s.flag)) wanted = &s;
  QUIPU_ASSIGN(const Json shown,
               api.call("POST", "/api/show", {{"model", a.words[0]}, {"verbose", a.on("verbose")}}));
  if (a.on("json"))
    console.out_text(dump(shown) + "\n");
  else if (wanted != nullptr)
    console.out_text(text_of(shown, wanted->flag) + (wanted->newline ? "\n" : ""));
  else
    console.out_text(show_text(shown, a.on("verbose")));
  return {};
}

Result<std::string> ps_answer(const Arguments& a, Api& api) {
  QUIPU_ASSIGN(const Json ps, api.call("GET", "/api/ps"));
  if (a.on("json")) return dump(ps) + "\n";
  return ps_text(ps, first_word(a), now()) + (a.on("verbose") ? ps_memory_text(ps, first_word(a)) : "");
}

// Once a second until Ctrl-C: on a terminal over the last one, else one below the other.
Result<void> watch_ps(Console& console, const Arguments& a, Api& api) {
  const bool redraws = console.out_has_cursor() && !a.on("json");
  // Ctrl-C is how it is meant to end; the terminal shows it as ^C in a line that the prompt should not share.
  const auto interrupted = [&]() -> Result<void> {
    if (redraws) console.out("\n");
    if (console.signals().ending() != 0) return error(Code::kCancelled, "ended by a signal");
    return {};
  };
  for (bool first = true;; first = false) {
    const auto text = ps_answer(a, api);
    if (!text && text.error().code == Code::kCancelled) return interrupted();  // while the server was asked
    if (!text) return std::unexpected(text.error());
    const bool taken =
        redraws
            ? console.out("\x1b[H\x1b[J" + fit_window(printable(*text), console.columns(), console.rows()))
            : console.out_text((first || a.on("json") ? "" : "\n") + *text);
    if (!taken) return {};  // nobody reads any more: finish() says so where that is a failure
    console.signals().wait(-1, 0, kWatchMilliseconds);
    if (console.signals().take_interrupt()) return interrupted();
  }
}

}  // namespace

int list_command(std::span<const std::string> args) {
  return run_client_command("list", args, [](Console& console, const Arguments& a, Api& api) -> Result<void> {
    QUIPU_ASSIGN(const Json tags, api.call("GET", "/api/tags"));
    console.out_text(a.on("json") ? dump(tags) + "\n" : list_text(tags, first_word(a), now()));
    return {};
  });
}

int ps_command(std::span<const std::string> args) {
  return run_client_command("ps", args, [](Console& console, const Arguments& a, Api& api) -> Result<void> {
    if (a.on("watch")) return watch_ps(console, a, api);
    QUIPU_ASSIGN(const std::string text, ps_answer(a, api));
    console.out_text(text);
    return {};
  });
}

int show_command(std::span<const std::string> args) {
  return run_command_with("show", args, [](Console& console, const Arguments& a) -> Result<void> {
    int sections = 0;
    for (const char* flag : {"license", "modelfile", "parameters", "system", "template"})
      sections += a.on(flag) ? 1 : 0;
    if (sections > 1)
      return wrong_usage(
          "only one of '--license', '--modelfile', '--parameters', '--system', or '--template' can be "
          "specified");
    QUIPU_ASSIGN(const auto api, connect(console));
    return show(console, a, *api);
  });
}

int copy_command(std::span<const std::string> args) {
  return run_client_command("cp", args, [](Console& console, const Arguments& a, Api& api) -> Result<void> {
    QUIPU_TRY(api.call("POST", "/api/copy", {{"source", a.words[0]}, {"destination", a.words[1]}}));
    console.out_text(fmt::format("copied '{}' to '{}'\n", a.words[0], a.words[1]));
    return {};
  });
}

int remove_command(std::span<const std::string> args) {
  return run_client_command("rm", args, [](Console& console, const Arguments& a, Api& api) -> Result<void> {
    for (const std::string& model : a.words) {
      // One that is not loaded, or not there at all, is no reason to stop here: the next request will say.
      const auto unloaded = api.call("POST", "/api/generate", unload_request(model));
      if (!unloaded && unloaded.error().code == Code::kCancelled) return std::unexpected(unloaded.error());
      QUIPU_TRY(api.call("DELETE", "/api/delete", {{"model", model}}));
      console.out_text(fmt::format("deleted '{}'\n", model));
    }
    return {};
  });
}

int stop_command(std::span<const std::string> args) {
  return run_client_command("stop", args, [](Console&, const Arguments& a, Api& api) -> Result<void> {
    const auto unloaded = api.call("POST", "/api/generate", unload_request(a.words[0]));
    if (unloaded) return {};
    if (unloaded.error().code == Code::kNotFound)
      return error(Code::kNotFound, "couldn't find model \"{}\" to stop", a.words[0]);
    return std::unexpected(unloaded.error());
  });
}

}  // namespace quipu::cli
