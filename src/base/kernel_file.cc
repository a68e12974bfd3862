#include "base/kernel_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <limits>

#include "base/checked.h"

namespace quipu {

namespace {

constexpr size_t kMostBytes = 1 << 20;
constexpr std::string_view kSpace = " \t\r\n";

std::string_view trimmed_front(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(kSpace), text.size()));
  return text;
}

}  // namespace

std::string slurp(const std::string& path) {
  std::string text;
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return text;
  char buffer[4096];
  while (text.size() < kMostBytes) {
    const ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n > 0)
      text.append(buffer, static_cast<size_t>(n));
    else if (n == 0 || errno != EINTR)
      break;
  }
  ::close(fd);
  return text;
}

std::optional<uint64_t> leading_number(std::string_view text) {
  text = trimmed_front(text);
  uint64_t value = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec == std::errc::result_out_of_range) return std::numeric_limits<uint64_t>::max();
  if (ec != std::errc()) return std::nullopt;
  return value;
}

std::optional<uint64_t> number_of_key(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!line.starts_with(key) || line.size() == key.size() ||
        kSpace.find(line[key.size()]) == std::string_view::npos)
      continue;
    line.remove_prefix(key.size());
    const auto value = leading_number(line);
    if (!value) return std::nullopt;
    line = trimmed_front(line);
    line.remove_prefix(std::min(line.find_first_not_of("0123456789"), line.size()));
    if (!trimmed_front(line).starts_with("kB")) return value;
    return checked_mul<uint64_t>(*value, 1024).value_or(std::numeric_limits<uint64_t>::max());
  }
  return std::nullopt;
}

}  // namespace quipu
