// A runner started as a child of this program: its process, its private socket, and how it ended.
//
// Nothing here waits, apart from what says so: whoever has a runner waits for its descriptors, together with
// whatever else there is to wait for.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/function_ref.h"
#include "fleet/failure.h"
#include "http/socket.h"

namespace quipu::fleet {

struct RunnerOptions {
  std::string program = "/proc/self/exe";
  std::string model;
  std::vector<std::string> projectors;
  int64_t num_ctx = 0;  // 0: the runner decides
  int64_t parallel = 1;
  std::string kv_cache_type;  // empty: the runner's default
  int64_t threads = 0;        // 0: the runner decides
  // What it writes to standard error comes through errors(); else it goes where ours goes.
  bool capture_errors = false;
};

// What a runner says when it can be used.
struct RunnerReady {
  int64_t load_ns = 0;
  Json info, memory;  // as GET /info and GET /memory; null where it did not say
};

// Threads: one at a time; spawn() on one that lives as long as the runner may (the child is told to end when
// that thread does).
class RunnerProcess {
 public:
  // Starts loading. Its socket lies in a folder of its own (mode 0700) below XDG_RUNTIME_DIR, or below /tmp.
  static Result<std::unique_ptr<RunnerProcess>> spawn(const RunnerOptions& options);
  ~RunnerProcess();  // ends it, waiting if need be, and removes the socket
  RunnerProcess(const RunnerProcess&) = delete;
  RunnerProcess& operator=(const RunnerProcess&) = delete;

  pid_t pid() const { return pid_; }
  const std::string& socket_path() const { return socket_; }

  // To be waited for (poll's POLLIN). errors() is -1 unless it is captured.
  int output() const { return from_child_.get(); }
  int errors() const { return errors_.get(); }

  // When output() is readable. Once: the runner is ready, or why it cannot be.
  std::optional<Answer<RunnerReady>> read_output();
  bool output_closed() const { return output_closed_; }  // it has ended, or will at once
  // When errors() is readable: every complete line. False: closed.
  bool read_errors(FunctionRef<void(std::string_view line)> on_line);

  // True: it has ended, and nothing of the process is left.
  bool ended();
  bool wait(std::chrono::milliseconds most);  // the same, waiting
  // After that: one sentence, with the last line it wrote where that is captured.
  std::string ending() const;

  void end();   // asks it to
  void kill();  // makes it

  // What it holds in memory, to see whether a load makes progress; 0: unknown.
  uint64_t resident_bytes() const;

 private:
  RunnerProcess() = default;
  Result<void> make_folder();
  Result<void> start(const RunnerOptions& options);
  Answer<RunnerReady> parse_ready(std::string_view line) const;

  std::string folder_, socket_;
  pid_t pid_ = -1;
  bool ended_ = true;
  int status_ = 0;  // waitpid's, once ended
  http::Fd to_child_, from_child_, errors_;
  bool spoken_ = false, output_closed_ = false;
  std::string ready_line_, error_line_;  // so far
  std::string last_error_line_;
};

}  // namespace quipu::fleet
