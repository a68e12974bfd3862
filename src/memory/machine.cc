#include "memory/machine.h"

#include <algorithm>
#include <limits>

#include "base/checked.h"
#include "base/environment.h"
#include "base/kernel_file.h"
#include "memory/cgroup.h"

namespace quipu::memory {

namespace {

constexpr uint64_t kLeastReserve = 512ull << 20;
constexpr uint64_t kReservePart = 20;  // 5 %

uint64_t add(uint64_t a, uint64_t b) {
  return checked_add(a, b).value_or(std::numeric_limits<uint64_t>::max());
}

Result<std::optional<ByteShare>> share_of(const char* name) {
  const auto v = environment(name);
  if (!v) return std::optional<ByteShare>();
  auto share = parse_byte_share(v->value);
  if (!share) return wrap(share.error(), name);
  return std::optional<ByteShare>(*share);
}

}  // namespace

Result<Bounds> Bounds::from_environment() {
  Bounds b;
  QUIPU_ASSIGN(b.memory, share_of(kMemoryVariable));
  if (b.memory && b.memory->is_zero()) b.memory.reset();
  QUIPU_ASSIGN(b.reserve, share_of(kReserveVariable));
  return b;
}

uint64_t Machine::capacity() const {
  uint64_t least = std::numeric_limits<uint64_t>::max();
  for (const BudgetTerm& t : terms) least = std::min(least, t.bytes);
  return terms.empty() ? 0 : least;
}

uint64_t Machine::budget() const {
  const uint64_t whole = capacity();
  return limit ? std::min(*limit, whole) : whole - std::min(whole, reserve);
}

uint64_t Machine::free() const {
  const uint64_t whole = budget();
  return whole - std::min(whole, admitted);
}

std::vector<BudgetTerm> Machine::all_terms() const {
  std::vector<BudgetTerm> all = terms;
  all.push_back(limit ? BudgetTerm{"QUIPU_MEMORY", *limit} : BudgetTerm{"reserve", reserve});
  return all;
}

uint64_t anonymous_bytes(pid_t pid, const std::string& root) {
  return number_of_key(slurp(fmt::format("{}/proc/{}/status", root, pid)), "RssAnon:").value_or(0);
}

Machine probe_machine(const Probe& probe) {
  // First: a model that grows meanwhile then counts as too little rather than twice.
  uint64_t ours = 0;
  for (const pid_t pid : probe.runners) ours = add(ours, anonymous_bytes(pid, probe.root));

  Machine m;
  const std::string meminfo = slurp(probe.root + "/proc/meminfo");
  m.total = number_of_key(meminfo, "MemTotal:").value_or(0);
  if (const auto available = number_of_key(meminfo, "MemAvailable:")) {
    m.available = *available;
  } else {  // a system that does not estimate it
    const auto part = [&](const char* name) { return number_of_key(meminfo, name).value_or(0); };
    const uint64_t cached = part("Cached:");
    m.available = add(add(part("MemFree:"), part("Buffers:")), cached - std::min(cached, part("Shmem:")));
  }
  m.terms.push_back({"MemAvailable", add(m.available, ours)});
  add_cgroup_terms(probe.root, ours, m.terms);
  if (probe.bounds.memory) m.limit = probe.bounds.memory->of(m.total);
  m.reserve = probe.bounds.reserve ? probe.bounds.reserve->of(m.total)
                                   : std::max(kLeastReserve, m.total / kReservePart);
  return m;
}

}  // namespace quipu::memory
