// A runner started as a child of this program: its process, its private socket, and how it ended.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include <sys/types.h>

#include "base/function_ref.h"
#include "base/result.h"
#include "cli/signals.h"

namespace quipu::cli {

struct RunnerOptions {
  std::string program = "/proc/self/exe";
  std::string model;
  int64_t num_ctx = 0;  // 0: the runner decides
  int64_t parallel = 1;
  std::string kv_cache_type;  // empty: the runner's default
  int64_t threads = 0;        // 0: the runner decides
};

// Threads: the main thread only (the child is told to end when the thread that started it does).
class RunnerProcess {
 public:
  // Returns when the runner is ready. on_tick is called about every 100 ms until then. kCancelled: a signal came. Nothing is
  // left behind after an error.
  static Result<std::unique_ptr<RunnerProcess>> start(const RunnerOptions& options, SignalWatch& signals,
                                                      FunctionRef<void()> on_tick);
  ~RunnerProcess();  // ends the runner and removes the socket
  RunnerProcess(const RunnerProcess&) = delete;
  RunnerProcess& operator=(const RunnerProcess&) = delete;

  const std::string& socket_path() const { return socket_; }
  int64_t load_ns() const { return load_ns_; }
  pid_t pid() const { return pid_; }

  // One sentence when the runner has ended, waiting up to `wait_ms` for it to do so; nothing while it runs.
  std::optional<std::string> death(int wait_ms);

 private:
  RunnerProcess() = default;
  Result<void> make_folder();
  Result<void> spawn(const RunnerOptions& options);
  Result<void> wait_until_ready(SignalWatch& signals, FunctionRef<void()> on_tick);
  Result<void> read_ready_line(const std::string& line);
  bool reap(int wait_ms);  // true: the child is gone
  void stop();

  std::string folder_, socket_;
  pid_t pid_ = -1;
  bool ended_ = true, ready_ = false;
  int status_ = 0;  // waitpid's, once ended
  int to_child_ = -1, from_child_ = -1;
  int64_t load_ns_ = 0;
};

}  // namespace quipu::cli
