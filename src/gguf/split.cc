#include "gguf/split.h"

#include <algorithm>
#include <optional>

namespace quipu::gguf {

namespace {

constexpr uint64_t kMaxParts = 99999;  // five digits in the names

Result<std::optional<uint64_t>> count(const Parsed& p, std::string_view key) {
  const auto it =
      std::find_if(p.entries.begin(), p.entries.end(), [&](const Entry& e) { return e.key == key; });
  if (it == p.entries.end()) return std::nullopt;
  if (const auto* v = std::get_if<uint64_t>(&it->value)) return *v;
  if (const auto* v = std::get_if<int64_t>(&it->value))
    if (*v >= 0) return static_cast<uint64_t>(*v);
  return error(Code::kCorrupt, "metadata key '{}' must be a count", key);
}

std::string suffix(uint64_t number, uint64_t total) {
  return fmt::format("-{:05}-of-{:05}.gguf", number, total);
}

}  // namespace

Result<void> add_split_parts(const std::string& path, File::Options options, Parsed& parsed,
                             std::vector<MappedFile>& parts) {
  const auto in = [](const std::string& file, auto r) {
    return r ? std::move(r) : decltype(r)(wrap(r.error(), file));
  };
  QUIPU_ASSIGN(const auto declared, in(path, count(parsed, "split.count")));
  QUIPU_ASSIGN(const auto number, in(path, count(parsed, "split.no")));
  QUIPU_ASSIGN(const auto n_tensors, in(path, count(parsed, "split.tensors.count")));
  const uint64_t total = declared.value_or(1);
  if (number.value_or(0) != 0)
    return error(Code::kInvalidArgument, "{} is part {} of a model in {} parts; name the first part, ...{}",
                 path, *number + 1, total, suffix(1, total));
  if (total <= 1) return {};
  if (total > kMaxParts)
    return error(Code::kCorrupt, "{} claims to be one of {} parts; {} is the limit", path, total, kMaxParts);
  if (!number)
    return error(Code::kCorrupt, "{} is one of {} parts, but does not say which (split.no)", path, total);
  const std::string own = suffix(1, total);
  if (!path.ends_with(own))
    return error(Code::kInvalidArgument, "{} is the first of {} parts; its name must end in '{}'", path,
                 total, own);
  const std::string prefix = path.substr(0, path.size() - own.size());
  for (uint64_t i = 1; i < total; ++i) {
    const std::string name = prefix + suffix(i + 1, total);
    QUIPU_ASSIGN(MappedFile file, in(fmt::format("part {} of {}", i + 1, total), MappedFile::open(name)));
    QUIPU_ASSIGN(const Parsed part, in(name, parse_gguf(file.bytes(), options)));
    QUIPU_ASSIGN(const auto part_number, in(name, count(part, "split.no")));
    QUIPU_ASSIGN(const auto part_total, in(name, count(part, "split.count")));
    if (!part_number) return error(Code::kCorrupt, "{} does not say which part it is (split.no)", name);
    if (part_number != i)
      return error(Code::kCorrupt, "{} says that it is part {}; it must be part {}", name, *part_number + 1,
                   i + 1);
    if (part_total && part_total != total)
      return error(Code::kCorrupt, "{} says that there are {} parts; the first part says {}", name,
                   *part_total, total);
    parsed.tensors.insert(parsed.tensors.end(), part.tensors.begin(), part.tensors.end());
    if (parsed.tensors.size() > kMaxRecords)
      return error(Code::kUnsupported, "the first {} parts of {} have {} tensors; {} is the limit", i + 1,
                   path, parsed.tensors.size(), kMaxRecords);
    parts.push_back(std::move(file));
  }
  if (n_tensors && *n_tensors != parsed.tensors.size())
    return error(Code::kCorrupt, "the {} parts of {} have {} tensors; {} were promised (split.tensors.count)",
                 total, path, parsed.tensors.size(), *n_tensors);
  return {};
}

}  // namespace quipu::gguf
