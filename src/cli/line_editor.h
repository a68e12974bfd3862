// Editing a line on the terminal, with libedit: Emacs keys, history, multi-line paste, Ctrl-J for a newline,
// Ctrl-G for an editor of the user's own.
//
// Threads: the main thread, one instance at a time; standard input must be a terminal.
#pragma once

#include <memory>

#include "cli/console.h"
#include "cli/history_file.h"
#include "cli/line_source.h"

namespace quipu::cli {

class LineEditor : public LineSource {
 public:
  static Result<std::unique_ptr<LineEditor>> create(Console& console, HistoryFile file);
  ~LineEditor() override;

  Line read(const std::string& prompt, const std::string& hint) override;
  void remember(const std::string& line) override;
  void keep_history(bool on) override;

 private:
  struct Impl;
  explicit LineEditor(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace quipu::cli
