#include "cli/console.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/environment.h"
#include "cli/render.h"

namespace quipu::cli {

namespace {

// A prompt longer than this fits no context; without a limit `quipu run FILE < /dev/zero` would take all
// memory.
constexpr size_t kMostInput = size_t{256} << 20;

// Up to this many bytes a pipe that is ready takes in one go, so a write never blocks out of reach of a
// signal.
constexpr size_t kWriteChunk = 4096;

// Where a terminal does not say.
constexpr int kColumns = 80, kRows = 24;

struct TerminalSize {
  int columns, rows;
};

TerminalSize size_of(int fd) {
  winsize size{};
  if (ioctl(fd, TIOCGWINSZ, &size) != 0) return {kColumns, kRows};
  return {size.ws_col > 0 ? size.ws_col : kColumns, size.ws_row > 0 ? size.ws_row : kRows};
}

}  // namespace

Console::Console(int in, int out, int err, SignalWatch& signals)
    : in_(in),
      out_(out),
      err_(err),
      signals_(signals),
      in_terminal_(isatty(in) == 1),
      out_terminal_(isatty(out) == 1),
      err_terminal_(isatty(err) == 1) {
  const auto term = environment("TERM");
  cursor_ = term && term->value != "dumb";
  colour_ = !environment("NO_COLOR");
}

int Console::columns() const { return out_terminal_ ? size_of(out_).columns : kColumns; }
int Console::rows() const { return out_terminal_ ? size_of(out_).rows : kRows; }
int Console::err_columns() const { return err_terminal_ ? size_of(err_).columns : kColumns; }
int Console::err_rows() const { return err_terminal_ ? size_of(err_).rows : kRows; }

int Console::write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    if (signals_.wait(fd, POLLOUT, -1) == SignalWatch::Wake::kSignal) {
      // Only the end of the program may cut output short; Ctrl-C is for whoever produces it.
      pollfd now{fd, POLLOUT, 0};
      if (poll(&now, 1, 0) == 0) return EINTR;
    }
    const ssize_t n = write(fd, text.data(), std::min(text.size(), kWriteChunk));
    if (n > 0)
      text.remove_prefix(static_cast<size_t>(n));
    else if (n < 0 && errno != EINTR && errno != EAGAIN)
      return errno;
  }
  return 0;
}

bool Console::out(std::string_view text) {
  if (out_error_ != 0) return false;
  const int failed = write_all(out_, text);
  if (failed != EINTR) out_error_ = failed;  // a signal cuts off this piece alone
  return failed == 0;
}

bool Console::out_text(std::string_view text) { return out_terminal_ ? out(printable(text)) : out(text); }

bool Console::out_page(std::string_view page) {
  return out(out_terminal_ ? fit_page(page, columns()) : std::string(page));
}

void Console::err_page(std::string_view page) {
  err(err_terminal_ ? fit_page(page, err_columns()) : std::string(page));
}

void Console::err(std::string_view text) { write_all(err_, text); }

void Console::err_line(std::string_view text) { err(printable(text) + "\n"); }

void Console::report(const Error& e) {
  std::string text = e.message;
  if (e.code != Code::kOutOfMemory) std::replace(text.begin(), text.end(), '\n', ' ');
  err_line("Error: " + text);
}

Result<std::string> Console::read_input() {
  std::string all;
  char buffer[65536];
  while (true) {
    if (signals_.wait(in_, POLLIN, -1) == SignalWatch::Wake::kSignal) {
      if (signals_.take_interrupt()) return error(Code::kCancelled, "interrupted");
      continue;
    }
    const ssize_t n = read(in_, buffer, sizeof buffer);
    if (n == 0) return all;
    if (n < 0) {
      if (errno == EINTR || errno == EAGAIN) continue;
      if (errno == EBADF) return all;  // closed from the start: nothing was piped in
      return error(Code::kIo, "cannot read standard input: {}", std::strerror(errno));
    }
    all.append(buffer, static_cast<size_t>(n));
    if (all.size() > kMostInput)
      return error(Code::kInvalidArgument, "standard input holds more than {} MiB, which is no prompt",
                   kMostInput >> 20);
  }
}

}  // namespace quipu::cli
