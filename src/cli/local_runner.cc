#include "cli/local_runner.h"

#include "cli/render.h"

namespace quipu::cli {

Result<void> LocalRunner::ensure_running() {
  if (process_ != nullptr && !process_->death(0)) return {};
  process_.reset();
  Spinner spinner(console_, "");
  QUIPU_ASSIGN(process_, RunnerProcess::start(options_, console_.signals(), [&] { spinner.tick(); }));
  load_ns_ = process_->load_ns();
  return {};
}

Error LocalRunner::explained(Error e) {
  if (e.code == Code::kCancelled || process_ == nullptr) return e;
  // A connection breaks a moment before the process is gone.
  if (const auto why = process_->death(500)) return {Code::kUnavailable, *why, {}};
  return e;
}

Result<Json> LocalRunner::get(const std::string&) { return error(Code::kInternal, "not yet"); }
Result<Json> LocalRunner::generate(const Json&, FunctionRef<bool(std::string_view)>, FunctionRef<bool()>) {
  return error(Code::kInternal, "not yet");
}

}  // namespace quipu::cli
