#include "doctor/findings.h"

#include <dirent.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>
#include <sstream>

#include "base/environment.h"
#include "base/kernel_file.h"
#include "base/thread_pool.h"
#include "base/topology.h"
#include "base/units.h"

namespace quipu::doctor {

namespace {

constexpr uint64_t kLittleMemory = uint64_t{1} << 30;  // below this no model of use fits
constexpr uint64_t kSomeSwap = 64 << 20;

std::string word(const std::string& path) {
  std::istringstream in(slurp(path));
  std::string out;
  in >> out;
  return out;
}

Finding isa() {
  const auto chosen = choose_isa();
  if (!chosen) return {"isa", Status::kError, chosen.error().message, "unset QUIPU_ISA"};
  return examine_isa(*chosen, best_isa());
}

Finding threads() {
  const int cores = default_thread_count();
  if (const auto v = environment("QUIPU_THREADS")) {
    const auto n = v->whole_number(0, 1024);
    if (!n) return {"threads", Status::kError, n.error().message, "unset QUIPU_THREADS"};
    if (*n > cores)
      return {"threads", Status::kWarn,
              fmt::format("{} threads (QUIPU_THREADS) for {} physical cores", *n, cores),
              "unset QUIPU_THREADS: more threads than cores are slower"};
    if (*n > 0 && *n < cores)
      return {"threads", Status::kOk, fmt::format("{} (QUIPU_THREADS) of {} physical cores", *n, cores)};
  }
  return {"threads", Status::kOk, fmt::format("{}, one for each physical core that may be used", cores)};
}

Finding affinity(const std::string& root) {
  std::istringstream status(slurp(root + "/proc/self/status"));
  std::string line, allowed;
  while (std::getline(status, line))
    if (line.starts_with("Cpus_allowed_list:")) allowed = line.substr(line.find_last_of(" \t") + 1);
  const std::string online = word(root + "/sys/devices/system/cpu/online");
  if (allowed.empty() || online.empty()) return {"affinity", Status::kOk, "the system does not say"};
  if (allowed == online) return {"affinity", Status::kOk, "all processors (" + online + ")"};
  return {"affinity", Status::kWarn, fmt::format("only processors {} of {}", allowed, online),
          "if that is not meant: taskset, the service's CPUAffinity=, or the container's cpuset"};
}

Finding quota(const std::string& root) {
  const auto n = cgroup_cpu_quota(root);
  if (!n) return {"cpu quota", Status::kOk, "none"};
  return {"cpu quota", Status::kWarn, fmt::format("a cgroup allows {:.3g} processors", *n),
          "raise the container's CPU limit (--cpus) or the service's CPUQuota="};
}

Finding governor(const std::string& root) {
  const std::string folder = root + "/sys/devices/system/cpu/cpu0/cpufreq/";
  const std::string name = word(folder + "scaling_governor"), driver = word(folder + "scaling_driver");
  if (name.empty()) return {"governor", Status::kOk, "the system does not say"};
  // These drivers raise the clock by themselves under that name.
  const bool by_itself = driver.starts_with("intel_pstate") || driver.starts_with("amd-pstate-epp");
  if (name == "powersave" && !by_itself)
    return {"governor", Status::kWarn, "powersave: the processor stays at its lowest clock",
            "cpupower frequency-set -g schedutil (or performance)"};
  return {"governor", Status::kOk, name};
}

Finding huge_pages(const std::string& root) {
  const std::string text = slurp(root + "/sys/kernel/mm/transparent_hugepage/enabled");
  const size_t from = text.find('['), to = text.find(']');
  if (from == text.npos || to == text.npos || to < from)
    return {"huge pages", Status::kOk, "the system does not say"};
  return {"huge pages", Status::kOk, "transparent huge pages: " + text.substr(from + 1, to - from - 1)};
}

// The inode of the socket that listens on the port, by /proc/net/tcp's lines.
std::optional<std::string> listening_inode(const std::string& table, uint16_t port) {
  std::istringstream in(slurp(table));
  std::string line;
  while (std::getline(in, line)) {
    std::istringstream words(line);
    std::string slot, local, remote, state, skip, inode;
    if (!(words >> slot >> local >> remote >> state)) continue;
    for (int i = 0; i < 5; ++i) words >> skip;  // queues, timer, retransmits, user, timeout
    if (!(words >> inode) || state != "0A") continue;
    const size_t colon = local.rfind(':');
    unsigned found = 0;
    if (colon == local.npos) continue;
    std::from_chars(local.data() + colon + 1, local.data() + local.size(), found, 16);
    if (found == port) return inode;
  }
  return std::nullopt;
}

std::vector<std::string> entries(const std::string& folder) {
  std::vector<std::string> out;
  DIR* d = ::opendir(folder.c_str());
  if (d == nullptr) return out;
  while (const dirent* e = ::readdir(d)) out.emplace_back(e->d_name);
  ::closedir(d);
  return out;
}

// "1234 (quipu)"; empty: nobody that one may look at.
std::string holder_of(const std::string& inode, const std::string& root) {
  const std::string wanted = "socket:[" + inode + "]";
  for (const std::string& pid : entries(root + "/proc")) {
    if (pid.find_first_not_of("0123456789") != pid.npos) continue;
    const std::string folder = root + "/proc/" + pid;
    for (const std::string& fd : entries(folder + "/fd")) {
      char target[64];
      const ssize_t n = ::readlink((folder + "/fd/" + fd).c_str(), target, sizeof target);
      if (n > 0 && std::string_view(target, static_cast<size_t>(n)) == wanted)
        return fmt::format("process {} ({})", pid, word(folder + "/comm"));
    }
  }
  return {};
}

}  // namespace

Finding examine_isa(Isa used, Isa best) {
  const std::string now = isa_name(used);
  if (used != best)
    return {"isa", Status::kWarn, fmt::format("{} in use, this processor can do {}", now, isa_name(best)),
            "unset QUIPU_ISA"};
  if (best == Isa::kScalar)
    return {"isa", Status::kWarn, "scalar: this processor has no AVX2 (with FMA and F16C)",
            "a processor with AVX2 is many times as fast"};
  return {"isa", Status::kOk, now + ", the best that this processor can do"};
}

std::vector<Finding> examine_processor(const std::string& root) {
  return {isa(), threads(), affinity(root), quota(root), governor(root)};
}

std::vector<Finding> examine_memory(const memory::Machine& m, const std::string& root) {
  std::vector<Finding> out;
  Finding budget{"memory", Status::kOk,
                 fmt::format("{} for models, {} free, of {}", format_bytes(m.budget()),
                             format_bytes(m.free()), format_bytes(m.total))};
  if (m.free() < kLittleMemory) {
    budget.status = Status::kWarn;
    // What others hold is not what bounds it where the user has set less.
    const bool by_setting = m.limit && *m.limit < m.capacity();
    budget.remedy = by_setting ? "raise QUIPU_MEMORY, or stop models (quipu stop)"
                               : "end other programs, stop models (quipu stop), or raise the cgroup's limit";
  }
  out.push_back(std::move(budget));
  std::string terms;
  for (const memory::BudgetTerm& t : m.all_terms())
    terms += fmt::format("{}{} {}", terms.empty() ? "" : ", ", t.name, format_bytes(t.bytes));
  out.push_back({"budget", Status::kOk, terms});
  const std::string meminfo = slurp(root + "/proc/meminfo");
  const uint64_t total = number_of_key(meminfo, "SwapTotal:").value_or(0);
  const uint64_t used = total - std::min(total, number_of_key(meminfo, "SwapFree:").value_or(0));
  if (used > kSomeSwap)
    out.push_back({"swap", Status::kWarn,
                   fmt::format("{} of {} in use", format_bytes(used), format_bytes(total)),
                   "something took more memory than there is: end it, or bound models by QUIPU_MEMORY"});
  else
    out.push_back(
        {"swap", Status::kOk,
         total == 0 ? "none" : fmt::format("{} of {} in use", format_bytes(used), format_bytes(total))});
  out.push_back(huge_pages(root));
  return out;
}

Finding examine_store(const std::string& path) {
  struct stat facts{};
  if (::stat(path.c_str(), &facts) != 0) {
    if (errno == ENOENT) return {"store", Status::kOk, path + " (not there yet)"};
    return {"store", Status::kError, fmt::format("{} cannot be reached: {}", path, std::strerror(errno)),
            "correct QUIPU_MODELS, or the rights of the folders above it"};
  }
  if (!S_ISDIR(facts.st_mode))
    return {"store", Status::kError, path + " is no folder", "set QUIPU_MODELS to a folder"};
  if (::access(path.c_str(), R_OK | X_OK) != 0)
    return {"store", Status::kError, path + " cannot be read by this user", "give the user rights to it"};
  if (::access(path.c_str(), W_OK) != 0)
    return {"store", Status::kWarn, path + " can be read, not written",
            "models cannot be added: give the user rights"};
  return {"store", Status::kOk, path};
}

Finding examine_port(uint16_t port, bool serves, const std::string& root) {
  for (const char* table : {"/proc/net/tcp", "/proc/net/tcp6"})
    if (const auto inode = listening_inode(root + table, port)) {
      std::string who = holder_of(*inode, root);
      if (who.empty()) who = "a process of another user";
      if (serves) return {"port", Status::kOk, fmt::format("{}: {}", port, who)};
      return {"port", Status::kWarn, fmt::format("{}: held by {}, which serves no models", port, who),
              fmt::format("stop it, or QUIPU_HOST=127.0.0.1:{} for server and clients",
                          port < UINT16_MAX ? port + 1 : port - 1)};
    }
  return {"port", Status::kOk, fmt::format("{}: nobody listens", port)};
}

Status worst(const std::vector<Finding>& findings) {
  Status s = Status::kOk;
  for (const Finding& f : findings) s = std::max(s, f.status);
  return s;
}

const char* status_name(Status s) { return s == Status::kOk ? "ok" : s == Status::kWarn ? "warn" : "error"; }

nlohmann::ordered_json findings_json(const std::vector<Finding>& findings) {
  nlohmann::ordered_json out = {{"status", status_name(worst(findings))}};
  out["findings"] = nlohmann::ordered_json::array();
  for (const Finding& f : findings) {
    nlohmann::ordered_json one = {{"name", f.name}, {"status", status_name(f.status)}, {"text", f.text}};
    if (!f.remedy.empty()) one["remedy"] = f.remedy;
    out["findings"].push_back(std::move(one));
  }
  return out;
}

}  // namespace quipu::doctor
