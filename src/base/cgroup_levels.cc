#include "base/cgroup_levels.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/kernel_file.h"

namespace quipu {

namespace {

// The kernel has neither longer paths nor deeper trees worth following.
constexpr size_t kMostPath = 4096, kMostLevels = 256;

struct Mount {
  std::string at, root;  // where it is mounted, and which group that shows
};

std::vector<std::string_view> split(std::string_view text, char at) {
  std::vector<std::string_view> parts;
  while (true) {
    const size_t end = text.find(at);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

bool has_item(std::string_view list, std::string_view item) {
  const auto items = split(list, ',');
  return std::find(items.begin(), items.end(), item) != items.end();
}

// mountinfo writes white space and backslashes as "\040".
std::string unescaped(std::string_view text) {
  std::string out;
  const auto octal = [](char c) { return c >= '0' && c <= '7'; };
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size() && octal(text[i + 1]) && octal(text[i + 2]) &&
        octal(text[i + 3])) {
      out += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

// "35 31 0:32 ROOT AT rw,relatime shared:9 - cgroup cgroup rw,memory"
std::vector<Mount> find_mounts(const std::string& root, bool v2, std::string_view controller) {
  std::vector<Mount> mounts;
  const std::string text = slurp(root + "/proc/self/mountinfo");
  for (const std::string_view line : split(text, '\n')) {
    const auto words = split(line, ' ');
    const auto dash = std::find(words.begin(), words.end(), "-");
    if (words.size() < 6 || words.end() - dash < 4) continue;
    if (v2 ? dash[1] == "cgroup2" : dash[1] == "cgroup" && has_item(dash[3], controller))
      mounts.push_back({unescaped(words[4]), unescaped(words[3])});
  }
  if (!mounts.empty()) return mounts;
  if (!v2) return {{fmt::format("/sys/fs/cgroup/{}", controller), "/"}};
  return {{"/sys/fs/cgroup", "/"}, {"/sys/fs/cgroup/unified", "/"}};
}

// A group's path below the mount: that of /proc/self/cgroup, less what the mount shows as its root. What lies
// outside of what this process can see (it has ".." in it) is bounded by the top at least.
std::string path_below(const Mount& mount, std::string_view path) {
  const auto parts = split(path, '/');
  if (path.size() > kMostPath || !path.starts_with('/') ||
      std::find(parts.begin(), parts.end(), "..") != parts.end())
    return "/";
  if (mount.root.size() > 1 && path.starts_with(mount.root)) {
    const std::string_view rest = path.substr(mount.root.size());
    if (rest.empty()) return "/";
    if (rest.starts_with('/')) return std::string(rest);
  }
  return std::string(path);
}

void add_levels(const std::string& base, std::string path, bool v2, std::vector<CgroupLevel>& levels) {
  for (size_t level = 0; level < kMostLevels; ++level) {
    while (path.size() > 1 && path.ends_with('/')) path.pop_back();
    levels.push_back({base + (path == "/" ? "" : path), path, v2, level == 0});
    if (path == "/") return;
    path.resize(std::max<size_t>(path.rfind('/'), 1));
  }
}

}  // namespace

std::vector<CgroupLevel> cgroup_levels(const std::string& root, std::string_view controller) {
  std::vector<CgroupLevel> levels;
  const std::string groups = slurp(root + "/proc/self/cgroup");
  for (const std::string_view line : split(groups, '\n')) {  // "0::/path" (v2), "9:memory:/path" (v1)
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string_view::npos || second == std::string_view::npos) continue;
    const std::string_view number = line.substr(0, first), path = line.substr(second + 1),
                           controllers = line.substr(first + 1, second - first - 1);
    const bool v2 = controllers.empty();
    if (v2 ? number != "0" : !has_item(controllers, controller)) continue;
    for (const Mount& mount : find_mounts(root, v2, controller))
      add_levels(root + mount.at, path_below(mount, path), v2, levels);
  }
  return levels;
}

}  // namespace quipu
