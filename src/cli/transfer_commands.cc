// pull and push.
#include "cli/client_command.h"
#include "cli/commands.h"
#include "cli/transfer.h"
#include "modelfile/model_name.h"

namespace quipu::cli {

namespace {

// Where a pushed model can be looked at.
std::string shown_place(const std::string& text) {
  const ModelName name = parse_model_name(text);
  if (!name.host.ends_with(".ollama.ai") && !name.host.ends_with(".ollama.com")) return text;
  std::string place = name.short_name();
  if (place.ends_with(":latest")) place.resize(place.size() - std::string_view(":latest").size());
  return "https://ollama.com/" + place;
}

}  // namespace

int pull_command(std::span<const std::string> args) {
  return run_client_command("pull", args, [](Console& console, const Arguments& a, Api& api) -> Result<void> {
    return pull_model(api, a.words[0], a.on("insecure"), console);
  });
}

int push_command(std::span<const std::string> args) {
  return run_client_command("push", args, [](Console& console, const Arguments& a, Api& api) -> Result<void> {
    {
      Progress progress(console);
      Json body = {{"model", a.words[0]}};
      if (a.on("insecure")) body["insecure"] = true;
      QUIPU_TRY(follow_progress(api, "/api/push", body, console, progress));
    }
    console.out_text(fmt::format("\nYou can find your model at:\n\n\t{}\n", shown_place(a.words[0])));
    return {};
  });
}

}  // namespace quipu::cli
