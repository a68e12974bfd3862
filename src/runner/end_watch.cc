#include "runner/end_watch.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace quipu::runner {

Result<std::unique_ptr<EndWatch>> EndWatch::start() {
  std::unique_ptr<EndWatch> w(new EndWatch());
  sigset_t watched;
  sigemptyset(&watched);
  for (int s : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&watched, s);
  signal(SIGPIPE, SIG_IGN);  // who hangs up is noticed by the write
  w->signals_ = signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK);
  if (w->signals_ < 0 || pipe2(w->stop_, O_CLOEXEC) != 0)
    return error(Code::kIo, "cannot watch for the end of the process: {}", std::strerror(errno));
  pthread_sigmask(SIG_BLOCK, &watched, nullptr);
  // Should the parent die without a word, its closed end of our standard input would tell too; a grandchild
  // that inherited that end would keep it open.
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  w->thread_ = std::thread([watch = w.get()] { watch->watch(); });
  return w;
}

EndWatch::~EndWatch() {
  if (stop_[1] >= 0) close(stop_[1]);
  if (thread_.joinable()) thread_.join();
  for (int fd : {stop_[0], signals_})
    if (fd >= 0) close(fd);
}

void EndWatch::watch() {
  pollfd fds[3] = {{STDIN_FILENO, POLLIN, 0}, {signals_, POLLIN, 0}, {stop_[0], POLLIN, 0}};
  while (true) {
    if (poll(fds, 3, -1) < 0) continue;  // interrupted
    if (fds[2].revents != 0) return;
    bool ends = fds[1].revents != 0;
    if (fds[0].revents != 0) {
      char ignored[256];
      const ssize_t n = read(STDIN_FILENO, ignored, sizeof ignored);
      ends |= n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN);
    }
    if (!ends) continue;
    if (!serving_) _exit(1);
    return;
  }
}

void EndWatch::wait() {
  if (thread_.joinable()) thread_.join();
}

}  // namespace quipu::runner
