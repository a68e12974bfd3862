// The interface of a private server: started when it is needed, started again when it died.
#pragma once

#include <memory>
#include <set>
#include <string>

#include "cli/console.h"
#include "cli/http_api.h"
#include "cli/private_server.h"

namespace quipu::cli {

class PrivateApi : public Api {
 public:
  PrivateApi(PrivateServerOptions options, Console& console)
      : options_(std::move(options)), console_(console) {}

  // Starts it unless it runs, with a spinner on a terminal.
  Result<void> ensure_running();

  Result<Json> call(std::string_view method, const std::string& path, const Json& body = nullptr) override;
  Result<void> stream(const std::string& path, const Json& body, FunctionRef<bool(const Json&)> on_line,
                      FunctionRef<bool()> on_idle) override;
  Result<void> upload(const std::string& path, const http::Upload& body,
                      FunctionRef<bool()> on_idle) override;
  const ServerVersion& version() const override { return version_; }
  std::string where() const override { return "a private server"; }

 private:
  // The error of a request, or what became of the server where that explains it.
  Error explained(Error e);
  template <class T>
  Result<T> explained(Result<T> r) {
    if (r) return r;
    return std::unexpected(explained(std::move(r).error()));
  }

  PrivateServerOptions options_;
  Console& console_;
  std::unique_ptr<PrivateServer> process_;
  std::set<std::string> told_;  // of its warnings
  std::unique_ptr<HttpApi> http_;
  ServerVersion version_{.ollama = {}, .quipu = QUIPU_VERSION};  // it is this very program
};

}  // namespace quipu::cli
