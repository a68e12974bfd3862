#include "store/gguf_import.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <vector>

#include "store/gguf_header.h"
#include "store/gguf_rewrite.h"

namespace quipu::store {

namespace {

struct SourceFile {
  std::string name;
  Digest digest;
  std::string path;
};

// "PREFIX-00001-of-00003.gguf"
struct PartName {
  std::string prefix;
  uint64_t number = 0, count = 0;  // number from 1
};

std::optional<PartName> parse_part_name(std::string_view name) {
  constexpr std::string_view kEnd = ".gguf", kOf = "-of-";
  constexpr size_t kDigits = 5, kLength = 1 + kDigits + kOf.size() + kDigits;
  if (!name.ends_with(kEnd) || name.size() < kEnd.size() + kLength) return std::nullopt;
  name.remove_suffix(kEnd.size());
  const std::string_view part = name.substr(name.size() - kLength);
  const auto number = [](std::string_view digits) -> std::optional<uint64_t> {
    uint64_t n = 0;
    const auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), n);
    return ec == std::errc() && end == digits.data() + digits.size() ? std::optional(n) : std::nullopt;
  };
  const auto first = number(part.substr(1, kDigits)), second = number(part.substr(kLength - kDigits));
  if (part[0] != '-' || part.substr(1 + kDigits, kOf.size()) != kOf || !first || !second) return std::nullopt;
  return PartName{std::string(name.substr(0, name.size() - kLength)), *first, *second};
}

enum class Format { kUnknown, kGguf, kSafetensors };

// By the names, and where those say nothing by how the files begin.
Format format_of(const std::vector<SourceFile>& files) {
  for (const SourceFile& file : files) {
    if (file.name.ends_with(".safetensors")) return Format::kSafetensors;
    if (file.name.ends_with(".gguf")) return Format::kGguf;
  }
  for (const SourceFile& file : files)
    if (looks_like_gguf(file.path)) return Format::kGguf;
  return Format::kUnknown;
}

struct Imported {
  SourceFile source;
  GgufHeader header;
  std::shared_ptr<const GgufFacts> facts;
};

class Importer {
 public:
  Importer(Store& store, Store::Hold& hold, ImportAs as, const CreateHooks& hooks)
      : store_(store), hold_(hold), as_(as), hooks_(hooks) {}

  Result<LayerList> run(const std::vector<SourceFile>& sources) {
    std::map<std::string, std::vector<Imported>> splits;  // by what their names begin with
    for (const SourceFile& source : sources) {
      report("parsing GGUF");
      QUIPU_ASSIGN(Imported file, read(source));
      const auto part = parse_part_name(source.name);
      if (file.facts->split_count > 1 && part)
        splits[part->prefix].push_back(std::move(file));
      else
        QUIPU_TRY(add(file));
    }
    for (auto& [prefix, parts] : splits) QUIPU_TRY(add_merged(prefix, parts));
    return std::move(list_);
  }

 private:
  void report(std::string status) const {
    if (hooks_.progress) hooks_.progress({.status = std::move(status)});
  }
  bool cancelled() const { return hooks_.cancelled && hooks_.cancelled(); }

  Result<Imported> read(const SourceFile& source) {
    if (cancelled()) return error(Code::kCancelled, "cancelled");
    hold_.add(source.digest);
    auto header = GgufHeader::read(source.path);
    if (!header) {
      Error problem = std::move(header).error();
      const bool missing = problem.code == Code::kNotFound;
      if (missing) problem.code = Code::kIo;
      if (!missing && problem.code != Code::kIo && !looks_like_gguf(source.path))
        return error(Code::kInvalidArgument, "supplied file was not in GGUF format");
      return std::unexpected(std::move(problem));
    }
    if (header->expected_bytes() > header->file_bytes())
      return error(Code::kInvalidArgument, "{} is incomplete: it has {} bytes and should have {}",
                   source.name, header->file_bytes(), header->expected_bytes());
    store_.use_blob(source.digest);
    auto facts = std::make_shared<const GgufFacts>(facts_of(*header));
    return Imported{source, std::move(*header), std::move(facts)};
  }

  Result<std::string_view> media_type_of(const SourceFile& source, const GgufFacts& facts) const {
    if (as_ == ImportAs::kDraft) return media::kDraft;
    if (as_ == ImportAs::kAdapter && !facts.is_adapter())
      return error(Code::kInvalidArgument, "{} is no adapter", source.name);
    if (facts.is_adapter()) return media::kAdapter;
    return facts.is_projector() ? media::kProjector : media::kModel;
  }

  Result<void> add(const Imported& file) {
    QUIPU_ASSIGN(const std::string_view type, media_type_of(file.source, *file.facts));
    Layer layer;
    layer.media_type = type;
    layer.digest = file.source.digest;
    layer.size = file.header.file_bytes();
    list_.add_blob(std::move(layer), file.facts, true);
    return {};
  }

  Result<void> add_merged(const std::string& prefix, std::vector<Imported>& parts) {
    std::ranges::sort(parts, {}, [](const Imported& part) { return part.facts->split_number; });
    const uint64_t count = parts.front().facts->split_count;
    for (size_t i = 0; i < parts.size(); ++i)
      if (parts[i].facts->split_count != count || parts[i].facts->split_number != i)
        return error(Code::kInvalidArgument, "invalid split GGUF: {} is not part {} of {}",
                     parts[i].source.name, i + 1, count);
    if (parts.size() != count)
      return error(Code::kInvalidArgument, "invalid split GGUF: {} has {} of {} parts", prefix, parts.size(),
                   count);
    report("merging split GGUF");
    std::vector<GgufPart> sources;
    for (const Imported& part : parts) sources.push_back({&part.header, part.source.path});
    const std::string path = store_.scratch_path();
    RewriteOptions options;
    options.progress = [this](uint64_t, uint64_t) { return !cancelled(); };
    QUIPU_TRY(rewrite_gguf(sources, options, path));
    QUIPU_ASSIGN(const Store::WrittenBlob written, store_.adopt_file(path, hold_));
    QUIPU_ASSIGN(const GgufHeader header, GgufHeader::read(store_.blob_path(written.digest)));
    const auto facts = std::make_shared<const GgufFacts>(facts_of(header));
    QUIPU_ASSIGN(const std::string_view type, media_type_of(parts.front().source, *facts));
    Layer layer;
    layer.media_type = type;
    layer.digest = written.digest;
    layer.size = written.bytes;
    list_.add_blob(std::move(layer), facts, written.was_there);
    return {};
  }

  Store& store_;
  Store::Hold& hold_;
  ImportAs as_;
  const CreateHooks& hooks_;
  LayerList list_;
};

}  // namespace

Result<LayerList> import_files(Store& store, Store::Hold& hold, const CreateRequest::Files& files,
                               ImportAs as, const CreateHooks& hooks) {
  std::vector<SourceFile> sources;
  for (const auto& [name, text] : files) {
    QUIPU_ASSIGN(const Digest digest, Digest::parse(text));
    sources.push_back({name, digest, store.blob_path(digest)});
  }
  switch (format_of(sources)) {
    case Format::kUnknown:
      return error(Code::kInvalidArgument, "unknown type");
    case Format::kSafetensors:
      return error(Code::kUnsupported,
                   "models in safetensors cannot be imported yet; convert them to GGUF first");
    case Format::kGguf:
      break;
  }
  if (as == ImportAs::kAdapter && sources.size() > 1)
    return error(Code::kInvalidArgument, "only one adapter is currently supported");
  return Importer(store, hold, as, hooks).run(sources);
}

}  // namespace quipu::store
