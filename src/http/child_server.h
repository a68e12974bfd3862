// A server started as a child of this program: its process, its private socket, its first line, and how it
// ended.
//
// Nothing here waits, apart from what says so: whoever has a child waits for its descriptors, together with
// whatever else there is to wait for.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/function_ref.h"
#include "base/result.h"
#include "http/socket.h"

namespace quipu::http {

struct ChildOptions {
  std::string program = "/proc/self/exe";
  // Its arguments, its name first, by the path of its socket.
  std::function<std::vector<std::string>(const std::string& socket)> args;
  std::string what;  // in messages: "the runner"
  // What it writes to standard error comes through errors(); else it goes where ours goes.
  bool capture_errors = false;
  // Sockets of its own children come to lie beside its own, and go with it even if it is killed.
  bool keeps_sockets_together = false;
  // Descriptors of ours that become its 3, 4, ...; larger than those numbers.
  std::vector<int> inherited = {};
};

// Threads: one at a time; spawn() on one that lives as long as the child may (it is told to end when that
// thread does).
class ChildServer {
 public:
  // Its socket lies in a folder of its own (mode 0700) below XDG_RUNTIME_DIR, or below /tmp.
  static Result<std::unique_ptr<ChildServer>> spawn(const ChildOptions& options);
  ~ChildServer();  // ends it, waiting if need be, and removes the socket
  ChildServer(const ChildServer&) = delete;
  ChildServer& operator=(const ChildServer&) = delete;

  pid_t pid() const { return pid_; }
  const std::string& socket_path() const { return socket_; }

  // To be waited for (poll's POLLIN). errors() is -1 unless it is captured.
  int output() const { return from_child_.get(); }
  int errors() const { return errors_.get(); }

  // When output() is readable. Once: the first line, by which it says that it is ready, or why it cannot be.
  std::optional<Result<std::string>> read_line();
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

  // What it holds in memory, to see whether it makes progress; 0: unknown.
  uint64_t resident_bytes() const;

 private:
  explicit ChildServer(std::string what) : what_(std::move(what)) {}
  Result<void> make_folder();
  Result<void> start(const ChildOptions& options);

  const std::string what_;
  std::string folder_, socket_;
  pid_t pid_ = -1;
  bool ended_ = true;
  int status_ = 0;  // waitpid's, once ended
  Fd to_child_, from_child_, errors_;
  bool spoken_ = false, output_closed_ = false;
  std::string line_, error_line_;  // so far
  std::string last_error_line_;
};

}  // namespace quipu::http
