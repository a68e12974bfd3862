#include "cli/transfer.h"

#include <algorithm>

namespace quipu::cli {

namespace {

void show(const Json& line, Progress& progress) {
  const std::string status = text_of(line, "status");
  const int64_t total = number_of(line, "total"), completed = number_of(line, "completed");
  if (text_of(line, "digest").empty() || total <= 0) {
    if (!status.empty()) progress.step(status);
    return;
  }
  // The first word of a layer, before anything of it has moved.
  if (completed <= 0) return progress.tick();
  progress.transfer(status.ends_with(':') ? status : status + ":", static_cast<uint64_t>(completed),
                    static_cast<uint64_t>(total));
}

}  // namespace

Result<void> follow_progress(Api& api, const std::string& path, const Json& body, Console& console,
                             Progress& progress) {
  const auto go_on = [&] {
    progress.tick();
    return !console.signals().take_interrupt();
  };
  const auto on_line = [&](const Json& line) {
    show(line, progress);
    return !console.signals().take_interrupt();
  };
  return api.stream(path, body, on_line, go_on);
}

Result<void> pull_model(Api& api, const std::string& model, bool insecure, Console& console) {
  Progress progress(console);
  Json body = {{"model", model}};
  if (insecure) body["insecure"] = true;
  return follow_progress(api, "/api/pull", body, console, progress);
}

}  // namespace quipu::cli
