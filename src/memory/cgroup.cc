#include "memory/cgroup.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string_view>

#include "base/cgroup_levels.h"
#include "base/checked.h"
#include "base/kernel_file.h"

namespace quipu::memory {

namespace {

// Version 1 writes "no limit" as a number near 2^63.
constexpr uint64_t kNoLimit = 1ull << 60;
constexpr size_t kMostName = 200;

// Names of groups are bytes that anybody chose, and go into reports.
std::string printable(std::string_view name) {
  std::string out(name.substr(0, kMostName));
  for (char& c : out)
    if (c < ' ' || c > '~') c = '?';
  return name.size() > kMostName ? out + "..." : out;
}

struct Files {
  std::string_view limit, usage;
};
constexpr Files kV2[] = {{"memory.max", "memory.current"}, {"memory.high", "memory.current"}};
constexpr Files kV1[] = {{"memory.limit_in_bytes", "memory.usage_in_bytes"},
                         {"memory.memsw.limit_in_bytes", "memory.memsw.usage_in_bytes"}};

// Of version 1 the totals, which include the groups below, where there are any.
uint64_t file_cache(const std::string& stat, bool v2) {
  const auto sum = [&](const char* inactive, const char* active) -> std::optional<uint64_t> {
    const auto a = number_of_key(stat, inactive), b = number_of_key(stat, active);
    if (!a && !b) return std::nullopt;
    return checked_add(a.value_or(0), b.value_or(0)).value_or(UINT64_MAX);
  };
  if (!v2)
    if (const auto total = sum("total_inactive_file", "total_active_file")) return *total;
  return sum("inactive_file", "active_file").value_or(0);
}

void add_level(const CgroupLevel& level, uint64_t ours, std::vector<BudgetTerm>& terms) {
  std::optional<uint64_t> cache;  // the same for both limits
  for (const Files& files : level.v2 ? kV2 : kV1) {
    const auto limit = leading_number(slurp(fmt::format("{}/{}", level.folder, files.limit)));
    if (!limit || *limit >= kNoLimit) continue;
    uint64_t used = leading_number(slurp(fmt::format("{}/{}", level.folder, files.usage))).value_or(0);
    if (!cache) cache = file_cache(slurp(level.folder + "/memory.stat"), level.v2);
    used -= std::min(used, checked_add(*cache, ours).value_or(UINT64_MAX));
    terms.push_back(
        {fmt::format("cgroup {} {}", printable(level.path), files.limit), *limit - std::min(*limit, used)});
  }
}

}  // namespace

void add_cgroup_terms(const std::string& root, uint64_t ours, std::vector<BudgetTerm>& terms) {
  bool bounded = true;  // by the groups above the last one
  for (const CgroupLevel& level : cgroup_levels(root, "memory")) {
    // Version 1 can keep a group's use from those above it, which then bound it no more.
    bounded = level.innermost ||
              (bounded && (level.v2 || leading_number(slurp(level.folder + "/memory.use_hierarchy")) != 0));
    if (bounded) add_level(level, ours, terms);
  }
}

}  // namespace quipu::memory
