#include "cli/answer.h"

#include <memory>
#include <optional>

#include "cli/render.h"
#include "cli/report.h"

namespace quipu::cli {

namespace {

const Json& options_of(const Json& request) {
  static const Json kNone = Json::object();
  const auto it = request.find("options");
  return it != request.end() && it->is_object() ? *it : kNone;
}

}  // namespace

Result<Answer> stream_answer(RunnerConnection& runner, const Json& request, const ViewOptions& view,
                             int64_t num_ctx, Console& console) {
  Answer answer;
  std::optional<WordWrap> wrap;
  if (view.word_wrap && console.out_has_cursor()) wrap.emplace(console.columns());
  Spinner spinner(console, "");
  // The sign would stand in the middle of a line that the answer has begun.
  const bool spin = console.out_is_terminal();

  const auto on_text = [&](std::string_view text) {
    spinner.clear();
    answer.text += text;
    if (console.out_is_terminal()) {
      const std::string shown = printable(text);
      if (!console.out(wrap ? wrap->feed(shown) : shown)) return false;
    } else if (!console.out(text)) {
      return false;
    }
    return !console.signals().take_interrupt();
  };
  const auto on_idle = [&] {
    if (console.signals().take_interrupt()) return false;
    if (spin && answer.text.empty()) spinner.tick();
    return true;
  };
  Result<Json> done = runner.generate(request, on_text, on_idle);
  spinner.clear();
  if (!done && done.error().code != Code::kCancelled) {
    if (!answer.text.empty()) console.out("\n\n");
    return std::unexpected(done.error());
  }
  console.out("\n\n");
  if (!done) {
    answer.cancelled = true;
    return answer;
  }
  answer.done = std::move(*done);
  if (const std::string notice = stop_notice(answer.done, num_ctx, options_of(request)); !notice.empty())
    console.err_line(notice);
  if (view.verbose) {
    console.err(metrics_text(answer.done, runner.take_load_ns()));
    if (auto memory = runner.get("/memory")) console.err(memory_text(*memory));
  }
  return answer;
}

}  // namespace quipu::cli
