// The half of Store that is about names and manifests.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "base/log.h"
#include "base/system_error.h"
#include "store/manifest_files.h"
#include "store/store.h"

namespace quipu::store {

namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMostManifestBytes = uint64_t{4} << 20;  // a thousand times what a large one has

std::unexpected<Error> not_found(const ModelName& name) {
  return error(Code::kNotFound, "model '{}' not found", name.short_name());
}

Result<FileContent> read_manifest_file(const std::string& path) {
  return read_small_file(path, kMostManifestBytes);
}

Result<StoredManifest> parse_stored(const ModelName& name, const FileContent& content) {
  QUIPU_ASSIGN(Manifest manifest, parse_manifest(content.bytes));
  return StoredManifest{name, std::move(manifest), digest_of(content.bytes), content.modified_ns};
}

// The file that a name stands for, wherever manifests may lie.
Result<FileContent> read_named(const Layout& layout, const ModelName& name) {
  if (!name.is_valid()) return error(Code::kInvalidArgument, "invalid model name");
  auto content = read_manifest_file(layout.linked_manifest(name));
  if (!content && content.error().code == Code::kNotFound)
    content = read_manifest_file(layout.manifest(name));
  if (!content && content.error().code == Code::kNotFound) return not_found(name);
  return content;
}

// All manifests' files; of one name in two places the first counts.
Result<std::vector<ManifestFile>> all_files(const Layout& layout) {
  QUIPU_ASSIGN(std::vector<ManifestFile> files, list_manifest_files(layout.linked_manifests()));
  QUIPU_ASSIGN(std::vector<ManifestFile> plain, list_manifest_files(layout.manifests()));
  std::move(plain.begin(), plain.end(), std::back_inserter(files));
  return files;
}

std::vector<ManifestFile> named_files(const Layout& layout) {
  auto files = all_files(layout);
  if (!files) {
    spdlog::warn("{}", files.error().message);
    return {};
  }
  std::vector<ManifestFile> named;
  std::set<std::string> seen;
  for (ManifestFile& file : *files) {
    if (!file.name)
      spdlog::warn("{} is no manifest: its path is no name", file.path);
    else if (seen.insert(file.name->manifest_path()).second)
      named.push_back(std::move(file));
  }
  return named;
}

// Does `part` become what `stored` has? An exact match ends the search.
void fold(std::string& part, bool& exact, const std::string& original, const std::string& stored) {
  if (exact || !equal_without_case(original, stored)) return;
  part = stored;
  exact = stored == original;
}

}  // namespace

std::vector<ModelName> Store::list_names() const {
  std::vector<ModelName> names;
  for (ManifestFile& file : named_files(layout_)) names.push_back(std::move(*file.name));
  return names;
}

ModelName Store::resolve(const ModelName& name) const {
  struct stat info{};
  for (const std::string& path : {layout_.manifest(name), layout_.linked_manifest(name)})
    if (name.is_valid() && ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode)) return name;
  std::vector<ModelName> names = list_names();
  // The order in which a folder lists its entries should decide nothing.
  std::ranges::sort(names, {}, [](const ModelName& n) { return n.manifest_path(); });
  // A whole name before parts of several.
  for (const ModelName& stored : names)
    if (stored.same_model(name)) {
      ModelName found = stored;
      found.scheme = name.scheme;
      return found;
    }
  ModelName folded = name;
  bool host = false, space = false, model = false, tag = false;
  for (const ModelName& stored : names) {
    fold(folded.host, host, name.host, stored.host);
    fold(folded.namespace_, space, name.namespace_, stored.namespace_);
    fold(folded.model, model, name.model, stored.model);
    fold(folded.tag, tag, name.tag, stored.tag);
  }
  return folded;
}

Result<std::string> Store::read_manifest_bytes(const ModelName& name) const {
  QUIPU_ASSIGN(FileContent content, read_named(layout_, name));
  return std::move(content.bytes);
}

Result<StoredManifest> Store::read_manifest(const ModelName& name) const {
  QUIPU_ASSIGN(const FileContent content, read_named(layout_, name));
  return parse_stored(name, content);
}

std::vector<StoredManifest> Store::list_manifests() const {
  std::vector<StoredManifest> manifests;
  for (const ManifestFile& file : named_files(layout_)) {
    const auto content = read_manifest_file(file.path);
    auto stored = content ? parse_stored(*file.name, *content) : std::unexpected(content.error());
    if (stored)
      manifests.push_back(std::move(*stored));
    else
      spdlog::warn("{}: {}", file.path, stored.error().message);
  }
  return manifests;
}

Result<void> Store::write_manifest(const ModelName& name, std::string_view bytes) {
  if (!name.is_valid()) return error(Code::kInvalidArgument, "invalid model name");
  const std::scoped_lock lock(change_);
  const std::string path = layout_.manifest(name);
  const std::string folder = path.substr(0, path.rfind('/'));
  constexpr int kAttempts = 5;
  for (int attempt = 1;; ++attempt) {
    std::error_code ec;
    fs::create_directories(folder, ec);
    if (ec) return error(Code::kIo, "cannot make the folder {}: {}", folder, system_message(ec.value()));
    QUIPU_ASSIGN(gguf::AtomicFile file,
                 gguf::AtomicFile::create_unnamed(layout_.manifest_stem(), file_options()));
    QUIPU_TRY(file.append(std::as_bytes(std::span(bytes))));
    const auto written = file.commit_as(path);
    if (written) break;
    // Another process may have removed the folder because it was empty.
    if (attempt == kAttempts || fs::exists(folder, ec)) return written;
  }
  // It would hide the one just written.
  if (::unlink(layout_.linked_manifest(name).c_str()) == 0)
    remove_empty_folders(fs::path(layout_.linked_manifest(name)).parent_path().string(),
                         layout_.linked_manifests());
  return {};
}

Result<void> Store::copy_manifest(const ModelName& from, const ModelName& to) {
  QUIPU_ASSIGN(const std::string bytes, read_manifest_bytes(from));
  if (from.manifest_path() == to.manifest_path()) return {};
  return write_manifest(to, bytes);
}

Result<void> Store::remove_model(const ModelName& name) {
  QUIPU_ASSIGN(const std::string bytes, read_manifest_bytes(name));
  {
    const std::scoped_lock lock(change_);
    struct Place {
      std::string path, top;
    };
    for (const Place& place : {Place{layout_.linked_manifest(name), layout_.linked_manifests()},
                               Place{layout_.manifest(name), layout_.manifests()}}) {
      if (::unlink(place.path.c_str()) == 0)
        remove_empty_folders(place.path.substr(0, place.path.rfind('/')), place.top);
      else if (errno != ENOENT && errno != ENOTDIR)
        return error(Code::kIo, "cannot remove {}: {}", place.path, system_message(errno));
    }
  }
  // A manifest may itself be a blob.
  std::vector<Digest> candidates = digests_in(bytes);
  candidates.push_back(digest_of(bytes));
  remove_unreferenced(candidates);
  return {};
}

Result<std::set<Digest>> Store::referenced() const {
  std::set<Digest> digests;
  QUIPU_ASSIGN(const std::vector<ManifestFile> files, all_files(layout_));
  for (const ManifestFile& file : files) {
    const auto content = read_manifest_file(file.path);
    if (!content && content.error().code == Code::kNotFound) continue;  // removed just now
    if (!content) return std::unexpected(content.error());
    for (const Digest& digest : digests_in(content->bytes)) digests.insert(digest);
    digests.insert(digest_of(content->bytes));
  }
  return digests;
}

}  // namespace quipu::store
