#include "cli/signals.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <initializer_list>

namespace quipu::cli {

SignalWatch::SignalWatch() {
  sigemptyset(&watched_);
  for (int s : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&watched_, s);
  sigemptyset(&before_);
  fd_ = signalfd(-1, &watched_, SFD_CLOEXEC | SFD_NONBLOCK);
  // Without the descriptor (no more files) the signals keep their usual, abrupt meaning.
  if (fd_ >= 0) pthread_sigmask(SIG_BLOCK, &watched_, &before_);
  pipe_before_ = std::signal(SIGPIPE, SIG_IGN);
}

SignalWatch::~SignalWatch() {
  if (fd_ >= 0) {
    while (take() != 0) {
    }
    close(fd_);
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  std::signal(SIGPIPE, pipe_before_ == SIG_ERR ? SIG_DFL : pipe_before_);
}

SignalWatch::Wake SignalWatch::wait(int fd, short events, int timeout_ms) const {
  pollfd watched[2] = {{fd, events, 0}, {fd_, POLLIN, 0}};
  const int n = poll(watched, 2, timeout_ms);
  if (n <= 0) return Wake::kTimeout;  // or a signal that is handled elsewhere (a resized window): look again
  if (watched[1].revents != 0) return Wake::kSignal;
  return Wake::kReady;  // an error on fd counts: the read or write will say what it is
}

int SignalWatch::take() {
  signalfd_siginfo info{};
  if (fd_ < 0 || read(fd_, &info, sizeof info) != static_cast<ssize_t>(sizeof info)) return 0;
  const int signal = static_cast<int>(info.ssi_signo);
  if (signal != SIGINT) ending_ = signal;
  return signal;
}

bool SignalWatch::take_interrupt() {
  bool interrupted = false;
  while (const int signal = take()) interrupted |= signal == SIGINT;
  return interrupted || ending_ != 0;
}

}  // namespace quipu::cli
