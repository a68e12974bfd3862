// The native interface over HTTP.
#pragma once

#include "cli/api.h"
#include "cli/console.h"
#include "http/client.h"
#include "http/host_setting.h"

namespace quipu::cli {

// Every call waits for as long as the server takes; Ctrl-C ends it.
class HttpApi : public Api {
 public:
  // `plain`: what a stream's server refuses is told without the status line (Api::stream()).
  HttpApi(http::HostSetting where, Console& console, bool plain = false)
      : where_(std::move(where)), console_(console), plain_(plain) {}

  // Whether somebody is there (HEAD /), and who (GET /api/version). kUnavailable with nobody_listens() where
  // nobody is.
  Result<void> connect();

  Result<Json> call(std::string_view method, const std::string& path, const Json& body = nullptr) override;
  Result<void> stream(const std::string& path, const Json& body, FunctionRef<bool(const Json&)> on_line,
                      FunctionRef<bool()> on_idle) override;
  Result<void> upload(const std::string& path, const http::Upload& body,
                      FunctionRef<bool()> on_idle) override;
  const ServerVersion& version() const override { return version_; }
  std::string where() const override;

 private:
  http::Request request(std::string_view method, const std::string& path, const Json& body) const;
  Result<Json> send(http::Request request, std::chrono::milliseconds silence);

  http::HostSetting where_;
  Console& console_;
  const bool plain_;
  ServerVersion version_;
};

// Whether a failed connect means that no server runs there.
bool nobody_listens(const Error& e);

}  // namespace quipu::cli
