// Standard input, output and error of the program: what they are connected to, and writing that a signal can
// end.
//
// Threads: the main thread only.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "cli/signals.h"

namespace quipu::cli {

class Console {
 public:
  Console(int in, int out, int err, SignalWatch& signals);

  bool in_is_terminal() const { return in_terminal_; }
  bool out_is_terminal() const { return out_terminal_; }
  // Cursor movement and erasing work on standard output.
  bool out_has_cursor() const { return out_terminal_ && cursor_; }
  bool err_has_cursor() const { return err_terminal_ && cursor_; }
  bool colour() const { return out_has_cursor() && colour_; }
  int columns() const;  // of standard output; 80 where it has none
  int rows() const;     // of standard output; 24 where it has none
  int err_columns() const;
  int err_rows() const;  // 24 where it has none

  // Writes everything, unless a signal comes while the other side takes nothing, or the other side fails for
  // good: false.
  bool out(std::string_view text);
  bool out_text(
      std::string_view text);  // to a terminal without control characters that a model may have smuggled in
  void err(std::string_view text);
  // A page of help, broken to the terminal's width.
  bool out_page(std::string_view page);
  void err_page(std::string_view page);
  // One sentence on standard error, without control characters that a file may have smuggled in.
  void err_line(std::string_view text);
  // "Error: " and the sentence on one line; where a plan does not fit (kOutOfMemory) its table stands below.
  void report(const Error& e);

  // 0, or the errno of the write to standard output that failed.
  int out_error() const { return out_error_; }

  // All of standard input. kCancelled on Ctrl-C; too much of it is an error.
  Result<std::string> read_input();

  int in_fd() const { return in_; }
  SignalWatch& signals() { return signals_; }

 private:
  int write_all(int fd, std::string_view text);  // 0 or errno

  int in_, out_, err_;
  SignalWatch& signals_;
  bool in_terminal_, out_terminal_, err_terminal_;
  bool cursor_, colour_;
  int out_error_ = 0;
};

}  // namespace quipu::cli
