// The signals that end an answer or the program (SIGINT, SIGTERM, SIGHUP), as something to wait for instead
// of handlers.
//
// They are blocked for the process and read from a descriptor, so none can fall between a check and a
// blocking call: every wait of the command line is a wait() here. SIGPIPE is ignored; a reader that has gone
// shows as a failed write.
//
// Threads: one instance, made before any thread starts (threads inherit the blocked set); used from the main
// thread.
#pragma once

#include <csignal>

namespace quipu::cli {

class SignalWatch {
 public:
  SignalWatch();
  ~SignalWatch();
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

  enum class Wake { kReady, kSignal, kTimeout };
  // Until `fd` is ready for `events` (poll's), a signal is there, or the time is up (-1: never). fd may be
  // -1: signals alone.
  Wake wait(int fd, short events, int timeout_ms) const;

  // The next signal that has come in, 0 if none. What it asked for is remembered below.
  int take();

  // True when Ctrl-C was pressed since the last call, or the program is to end.
  bool take_interrupt();

  // The signal that wants the whole program to end (SIGTERM, SIGHUP); 0: none.
  int ending() const { return ending_; }

 private:
  sigset_t watched_, before_;
  void (*pipe_before_)(int);
  int fd_;
  int ending_ = 0;
};

}  // namespace quipu::cli
