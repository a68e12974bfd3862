// A server of this command's own, started as a child: on a file, or on the user's store.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/function_ref.h"
#include "base/result.h"
#include "cli/signals.h"
#include "http/child_server.h"

namespace quipu::cli {

struct PrivateServerOptions {
  std::string program = "/proc/self/exe";
  std::string model;    // the file it serves; empty: the user's store
  int64_t threads = 0;  // 0: the server decides
};

// Threads: the main thread only (the child is told to end when the thread that started it does).
class PrivateServer {
 public:
  // Returns when the server takes requests. on_tick is called about every 100 ms until then. kCancelled: a
  // signal came. Nothing is left behind after an error.
  static Result<std::unique_ptr<PrivateServer>> start(const PrivateServerOptions& options,
                                                      SignalWatch& signals, FunctionRef<void()> on_tick);

  const std::string& socket_path() const { return child_->socket_path(); }
  pid_t pid() const { return child_->pid(); }
  // What it says of the settings, a sentence each.
  const std::vector<std::string>& warnings() const { return warnings_; }

  // One sentence when the server has ended, waiting up to `wait_ms` for it to do so; nothing while it runs.
  std::optional<std::string> death(int wait_ms);

 private:
  explicit PrivateServer(std::unique_ptr<http::ChildServer> child) : child_(std::move(child)) {}
  Result<void> wait_until_ready(SignalWatch& signals, FunctionRef<void()> on_tick);

  std::unique_ptr<http::ChildServer> child_;
  std::vector<std::string> warnings_;
};

}  // namespace quipu::cli
