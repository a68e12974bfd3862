#include "cli/history_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "base/environment.h"
#include "cli/console.h"

namespace quipu::cli {

namespace {

std::string escaped(std::string_view line) {
  std::string out;
  for (char c : line) {
    if (c == '\\')
      out += "\\\\";
    else if (c == '\n')
      out += "\\n";
    else
      out += c;
  }
  return out;
}

std::string unescaped(std::string_view line) {
  std::string out;
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '\\' && i + 1 < line.size()) {
      ++i;
      out += line[i] == 'n' ? '\n' : line[i];
    } else {
      out += line[i];
    }
  }
  return out;
}

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = write(fd, text.data(), text.size());
    if (n <= 0) return false;
    text.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

}  // namespace

HistoryFile HistoryFile::from_environment() {
  if (const auto none = environment({"QUIPU_NOHISTORY", "OLLAMA_NOHISTORY"}); none && none->on())
    return HistoryFile("");
  if (const auto path = environment("QUIPU_HISTORY")) return HistoryFile(path->value);
  const auto home = environment("HOME");
  return HistoryFile(home ? home->value + "/.quipu/history" : "");
}

std::vector<std::string> HistoryFile::read() const {
  std::vector<std::string> lines;
  struct stat facts{};
  if (path_.empty() || stat(path_.c_str(), &facts) != 0 || !S_ISREG(facts.st_mode)) return lines;
  std::ifstream in(path_);
  for (std::string line; std::getline(in, line);) {
    if (lines.size() == kMostLines) lines.erase(lines.begin());
    if (!line.empty()) lines.push_back(unescaped(line));
  }
  return lines;
}

void HistoryFile::append(std::string_view line) const {
  if (path_.empty()) return;
  struct stat facts{};
  if (lstat(path_.c_str(), &facts) == 0 && !S_ISREG(facts.st_mode))
    return;  // a link to /dev/null says: no history
  std::vector<std::string> lines = read();
  lines.emplace_back(line);
  if (lines.size() > kMostLines) lines.erase(lines.begin());
  std::string all;
  for (const std::string& l : lines) all += escaped(l) + "\n";

  if (const size_t slash = path_.rfind('/'); slash != std::string::npos && slash > 0)
    mkdir(path_.substr(0, slash).c_str(), 0700);
  std::string fresh = path_ + ".XXXXXX";
  const int fd = mkostemp(fresh.data(), O_CLOEXEC);  // mode 0600
  if (fd < 0) return;
  const bool written = write_all(fd, all);
  if ((close(fd) != 0) | !written || rename(fresh.c_str(), path_.c_str()) != 0) unlink(fresh.c_str());
}

}  // namespace quipu::cli
