// The last lines typed in conversations, kept between them.
//
// One line each; a newline inside is written \n, a backslash \\. The file is replaced as a whole, so two
// programs can write it at the same time without harm. What cannot be read or written is left alone: history
// is a convenience.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace quipu::cli {

class HistoryFile {
 public:
  static constexpr size_t kMostLines = 100;

  // An empty path: nothing is read or written.
  explicit HistoryFile(std::string path) : path_(std::move(path)) {}
  // $QUIPU_HISTORY, or ~/.quipu/history; none when QUIPU_NOHISTORY or OLLAMA_NOHISTORY is on.
  static HistoryFile from_environment();

  std::vector<std::string> read() const;  // oldest first
  void append(std::string_view line) const;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace quipu::cli
