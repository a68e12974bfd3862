#include "cli/model_tables.h"

#include <fmt/format.h>

#include <cctype>
#include <cmath>

#include "base/units.h"
#include "cli/report.h"
#include "cli/text_table.h"

namespace quipu::cli {

namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

uint64_t bytes_of(const Json& model, const char* key) {
  const int64_t n = number_of(model, key);
  return n > 0 ? static_cast<uint64_t>(n) : 0;
}

std::string id_of(const Json& model) { return text_of(model, "digest").substr(0, 12); }

std::string processor(uint64_t size, uint64_t on_gpu) {
  if (on_gpu == 0) return "100% CPU";
  if (on_gpu == size) return "100% GPU";
  if (on_gpu > size || size == 0) return "Unknown";
  const auto cpu = std::lround(static_cast<double>(size - on_gpu) / static_cast<double>(size) * 100);
  return fmt::format("{}%/{}% CPU/GPU", cpu, 100 - cpu);
}

std::string until(const Json& model, Moment now) {
  const auto expires = parse_moment(text_of(model, "expires_at"));
  if (!expires || seconds_between(*expires, now) > 0) return "Stopping...";
  return human_time(*expires, now, "Never");
}

}  // namespace

std::string list_text(const Json& tags, std::string_view prefix, Moment now) {
  Rows rows;
  for (const Json& model : field_of(tags, "models")) {
    const std::string name = text_of(model, "name");
    if (!lower(name).starts_with(lower(prefix))) continue;
    const auto modified = parse_moment(text_of(model, "modified_at"));
    rows.push_back({name, id_of(model), human_bytes(bytes_of(model, "size")),
                    modified ? human_time(*modified, now, "Never") : "Never"});
  }
  return list_table({"NAME", "ID", "SIZE", "MODIFIED"}, rows);
}

std::string ps_text(const Json& ps, std::string_view prefix, Moment now) {
  Rows rows;
  for (const Json& model : field_of(ps, "models")) {
    const std::string name = text_of(model, "name");
    if (!name.starts_with(prefix)) continue;
    const uint64_t size = bytes_of(model, "size");
    rows.push_back({name, id_of(model), human_bytes(size), processor(size, bytes_of(model, "size_vram")),
                    fmt::format("{}", number_of(model, "context_length")), until(model, now)});
  }
  return list_table({"NAME", "ID", "SIZE", "PROCESSOR", "CONTEXT", "UNTIL"}, rows);
}

std::string ps_memory_text(const Json& ps, std::string_view prefix) {
  std::string out;
  for (const Json& model : field_of(ps, "models")) {
    const std::string name = text_of(model, "name");
    const std::string memory = memory_text(field_of(field_of(model, "quipu"), "memory"));
    if (!name.starts_with(prefix) || memory.empty()) continue;
    out += fmt::format("\n{}\n{}", name, memory);
  }
  const Json& ours = field_of(ps, "quipu");
  if (!ours.is_object()) return out;
  out += fmt::format("\n{:<26}{:>12}   this process alone\n", "server",
                     format_bytes(bytes_of(field_of(field_of(ours, "memory"), "total"), "measured")));
  const Json& machine = field_of(ours, "machine");
  std::string bound;
  uint64_t least = UINT64_MAX;
  for (const Json& term : field_of(machine, "terms"))
    if (const uint64_t n = bytes_of(term, "bytes"); n < least && text_of(term, "name") != "reserve")
      least = n, bound = text_of(term, "name");
  out += fmt::format("{:<26}{:>12}   {} admitted, {} free\n", "budget",
                     format_bytes(bytes_of(machine, "budget")), format_bytes(bytes_of(machine, "admitted")),
                     format_bytes(bytes_of(machine, "free")));
  if (!bound.empty()) out += fmt::format("{:<26}{:>12}   {}\n", "bounded by", format_bytes(least), bound);
  return out;
}

}  // namespace quipu::cli
