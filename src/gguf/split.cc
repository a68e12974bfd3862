#include "gguf/split.h"

#include <algorithm>
#include <optional>

namespace quipu::gguf {

namespace {

Result<std::optional<uint64_t>> count(const Parsed& p, std::string_view key) {
  const auto it = std::find_if(p.entries.begin(), p.entries.end(), [&](const Entry& e) { return e.key == key; });
  if (it == p.entries.end()) return std::nullopt;
  if (const auto* v = std::get_if<uint64_t>(&it->value)) return *v;
  if (const auto* v = std::get_if<int64_t>(&it->value))
    if (*v >= 0) return static_cast<uint64_t>(*v);
  return error(Code::kCorrupt, "the metadata key '{}' must be a count", key);
}

std::string suffix(uint64_t number, uint64_t total) { return fmt::format("-{:05}-of-{:05}.gguf", number, total); }

}  // namespace

Result<void> add_split_parts(const std::string& path, File::Options options, Parsed& parsed,
                             std::vector<MappedFile>& parts) {
  QUIPU_ASSIGN(const auto total, count(parsed, "split.count"));
  if (!total || *total <= 1) return {};
  QUIPU_ASSIGN(const auto number, count(parsed, "split.no"));
  if (!number) return error(Code::kCorrupt, "{}: the file is one of {} parts, but does not say which", path, *total);
  if (*number != 0)
    return error(Code::kInvalidArgument, "{} is part {} of {}: name the first part, ...{}", path, *number + 1, *total,
                 suffix(1, *total));
  if (*total > 99999) return error(Code::kCorrupt, "{}: {} parts are more than file names can count", path, *total);
  const std::string own = suffix(1, *total);
  if (!path.ends_with(own))
    return error(Code::kInvalidArgument, "{}: the first of {} parts must be named ...{}", path, *total, own);
  const std::string prefix = path.substr(0, path.size() - own.size());
  for (uint64_t i = 1; i < *total; ++i) {
    const std::string part_path = prefix + suffix(i + 1, *total);
    auto file = MappedFile::open(part_path);
    if (!file) return wrap(std::move(file).error(), fmt::format("part {} of {}", i + 1, *total));
    auto part = parse_gguf(file->bytes(), options);
    if (!part) return wrap(std::move(part).error(), part_path);
    QUIPU_ASSIGN(const auto part_number, count(*part, "split.no"));
    if (part_number != i)
      return error(Code::kCorrupt, "{} says that it is part {}; it should be part {} of {}", part_path,
                   part_number ? std::to_string(*part_number + 1) : "none", i + 1, *total);
    parsed.tensors.insert(parsed.tensors.end(), part->tensors.begin(), part->tensors.end());
    parts.push_back(std::move(*file));
  }
  QUIPU_ASSIGN(const auto tensors, count(parsed, "split.tensors.count"));
  if (tensors && *tensors != parsed.tensors.size())
    return error(Code::kCorrupt, "{}: the {} parts hold {} tensors together; {} were promised", path, *total,
                 parsed.tensors.size(), *tensors);
  return {};
}

}  // namespace quipu::gguf
