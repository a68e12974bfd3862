#include "memory/machine.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <sstream>

namespace quipu::memory {

namespace {

std::string slurp(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream out;
  if (in) out << in.rdbuf();
  return out.str();
}

// The number in a file of one number; "max" and absent files give nothing.
bool read_number(const std::string& path, uint64_t& out) {
  std::istringstream in(slurp(path));
  return static_cast<bool>(in >> out);
}

// "KEY value" lines (memory.stat, and /proc/meminfo with its "kB"); 0 for what is not there.
uint64_t field(const std::string& text, std::string_view key) {
  std::istringstream in(text);
  std::string line;
  while (std::getline(in, line)) {
    std::istringstream words(line);
    std::string name, unit;
    uint64_t value = 0;
    if (!(words >> name >> value) || name != key) continue;
    words >> unit;
    return unit == "kB" ? value * 1024 : value;
  }
  return 0;
}

// Every ancestor's limit less what it uses beyond reclaimable file cache.
void add_cgroup_terms(const std::string& base, std::string path, bool v2, std::vector<BudgetTerm>& terms) {
  while (true) {
    const std::string dir = base + (path == "/" ? "" : path);
    uint64_t limit = 0, usage = 0;
    const bool limited = read_number(dir + (v2 ? "/memory.max" : "/memory.limit_in_bytes"), limit) &&
                         read_number(dir + (v2 ? "/memory.current" : "/memory.usage_in_bytes"), usage);
    if (limited && limit < (1ull << 60)) {  // v1 writes "no limit" as a number near 2^63
      const std::string stat = slurp(dir + "/memory.stat");
      const uint64_t cache = v2 ? field(stat, "inactive_file") + field(stat, "active_file")
                                : field(stat, "total_inactive_file") + field(stat, "total_active_file");
      const uint64_t used = usage - std::min(usage, cache);
      terms.push_back({fmt::format("cgroup {} {}", path, v2 ? "memory.max" : "memory.limit_in_bytes"),
                       limit - std::min(limit, used)});
    }
    if (path == "/" || path.empty()) return;
    const size_t slash = path.rfind('/');
    path = slash == 0 || slash == std::string::npos ? "/" : path.substr(0, slash);
  }
}

}  // namespace

uint64_t Machine::budget() const {
  uint64_t least = std::numeric_limits<uint64_t>::max();
  for (const BudgetTerm& t : terms) least = std::min(least, t.bytes);
  return terms.empty() ? 0 : least;
}

Machine probe_machine(const std::string& root) {
  Machine m;
  const std::string meminfo = slurp(root + "/proc/meminfo");
  m.total = field(meminfo, "MemTotal:");
  m.available = field(meminfo, "MemAvailable:");
  if (m.available == 0)  // a system that does not estimate it
    m.available = field(meminfo, "MemFree:") + field(meminfo, "Buffers:") + field(meminfo, "Cached:");
  m.terms.push_back({"MemAvailable", m.available});
  std::istringstream groups(slurp(root + "/proc/self/cgroup"));
  std::string line;
  while (std::getline(groups, line)) {  // "0::/path" (v2), "9:memory:/path" (v1)
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1),
                      path = line.substr(second + 1);
    if (controllers.empty())
      add_cgroup_terms(root + "/sys/fs/cgroup", path, true, m.terms);
    else if (("," + controllers + ",").find(",memory,") != std::string::npos)
      add_cgroup_terms(root + "/sys/fs/cgroup/memory", path, false, m.terms);
  }
  return m;
}

}  // namespace quipu::memory
