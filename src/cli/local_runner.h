// A runner of this program's own: started when it is needed, started again when it died.
#pragma once

#include <memory>

#include "cli/console.h"
#include "cli/runner_connection.h"
#include "fleet/runner_process.h"

namespace quipu::cli {

class LocalRunner : public RunnerConnection {
 public:
  LocalRunner(fleet::RunnerOptions options, Console& console)
      : options_(std::move(options)), console_(console) {}

  // Loads the model unless that is done, with a spinner on a terminal.
  Result<void> ensure_running();

  Result<Json> get(const std::string& path) override;
  Result<Json> generate(const Json& request, FunctionRef<bool(std::string_view)> on_text,
                        FunctionRef<bool()> on_idle) override;
  int64_t take_load_ns() override { return std::exchange(load_ns_, 0); }

 private:
  // The error of a request, or what became of the runner where that explains it.
  Error explained(Error e);

  // kCancelled: a signal came.
  Result<void> wait_until_ready();

  fleet::RunnerOptions options_;
  Console& console_;
  std::unique_ptr<fleet::RunnerProcess> process_;
  int64_t load_ns_ = 0;
};

}  // namespace quipu::cli
