#include "cli/private_api.h"

#include "cli/render.h"

namespace quipu::cli {

Result<void> PrivateApi::ensure_running() {
  if (process_ != nullptr && !process_->death(0)) return {};
  http_.reset();
  process_.reset();
  {
    Spinner spinner(console_, "");
    QUIPU_ASSIGN(process_, PrivateServer::start(options_, console_.signals(), [&] { spinner.tick(); }));
  }
  for (const std::string& warning : process_->warnings())
    if (told_.insert(warning).second) console_.err_line("Warning: " + warning);
  http::HostSetting where;
  where.endpoint = {.path = process_->socket_path(), .host = {}, .port = 0};
  http_ = std::make_unique<HttpApi>(std::move(where), console_, true);
  return {};
}

Error PrivateApi::explained(Error e) {
  if (e.code == Code::kCancelled || process_ == nullptr) return e;
  // A connection breaks a moment before the process is gone.
  const int patience_ms = e.code == Code::kUnavailable ? 500 : 0;
  if (const auto why = process_->death(patience_ms)) return {Code::kUnavailable, *why, {}};
  return e;
}

Result<Json> PrivateApi::call(std::string_view method, const std::string& path, const Json& body) {
  QUIPU_TRY(ensure_running());
  return explained(http_->call(method, path, body));
}

Result<void> PrivateApi::stream(const std::string& path, const Json& body,
                                FunctionRef<bool(const Json&)> on_line, FunctionRef<bool()> on_idle) {
  QUIPU_TRY(ensure_running());
  return explained(http_->stream(path, body, on_line, on_idle));
}

Result<void> PrivateApi::upload(const std::string& path, const http::Upload& body,
                                FunctionRef<bool()> on_idle) {
  QUIPU_TRY(ensure_running());
  return explained(http_->upload(path, body, on_idle));
}

}  // namespace quipu::cli
