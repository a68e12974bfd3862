// What Store::prune removes. Spec: ollama-compat 5.5.
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <map>
#include <system_error>

#include "base/log.h"
#include "base/system_error.h"
#include "store/manifest_files.h"
#include "store/store.h"

namespace quipu::store {

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::system_clock;

struct Candidate {
  std::string name;
  uint64_t bytes = 0;
  Clock::time_point modified;
};

// The files of a folder, without folders.
std::vector<Candidate> files_in(const std::string& folder) {
  std::vector<Candidate> files;
  std::error_code ec;
  for (fs::directory_iterator it(folder, ec), end; !ec && it != end; it.increment(ec)) {
    struct stat info{};
    if (::lstat(it->path().c_str(), &info) != 0 || S_ISDIR(info.st_mode)) continue;
    const auto since_1970 =
        std::chrono::seconds(info.st_mtim.tv_sec) + std::chrono::nanoseconds(info.st_mtim.tv_nsec);
    files.push_back({it->path().filename().string(), static_cast<uint64_t>(info.st_size),
                     Clock::time_point(std::chrono::duration_cast<Clock::duration>(since_1970))});
  }
  return files;
}

// Files that belong together have this in common: a download's data and the state of its parts.
std::string group_of(const std::string& name) { return name.substr(0, name.find("-partial")); }

}  // namespace

Result<Store::Pruned> Store::prune(Clock::time_point now) {
  Pruned pruned;
  const std::scoped_lock lock(change_);
  for (const std::string& folder : {layout_.linked_manifests(), layout_.manifests()}) {
    QUIPU_ASSIGN(const std::vector<ManifestFile> files, list_manifest_files(folder));
    for (const ManifestFile& file : files) {
      if (!file.name) return error(Code::kCorrupt, "{} is no manifest: its path is no name", file.path);
      const auto content = read_small_file(file.path, uint64_t{4} << 20);
      if (!content && content.error().code == Code::kNotFound) continue;
      if (!content) return std::unexpected(content.error());
      if (auto manifest = parse_manifest(content->bytes); !manifest)
        return wrap(std::move(manifest).error(), file.path);
    }
  }
  QUIPU_ASSIGN(const std::set<Digest> in_use, referenced());

  const std::vector<Candidate> files = files_in(layout_.blobs());
  std::map<std::string, Clock::time_point> newest;  // of a group
  for (const Candidate& file : files) {
    auto& time = newest[group_of(file.name)];
    time = std::max(time, file.modified);
  }
  for (const Candidate& file : files) {
    const auto digest = Digest::parse(file.name);
    const auto newest_of_its_kind = digest ? file.modified : newest[group_of(file.name)];
    if (now - newest_of_its_kind < options_.grace) continue;
    if (digest && in_use.contains(*digest)) continue;
    if (digest && digest->file_name() == file.name) {
      if (!remove_blob_unless_held(*digest)) continue;
      ++pruned.blobs;
    } else {
      const std::string path = layout_.blobs() + "/" + file.name;
      if (::unlink(path.c_str()) != 0) {
        spdlog::warn("cannot remove {}: {}", path, system_message(errno));
        continue;
      }
      ++pruned.leftovers;
    }
    pruned.bytes += file.bytes;
  }
  for (const Candidate& file : files_in(layout_.manifests()))
    if (Layout::is_temporary(file.name) && now - file.modified >= options_.grace &&
        ::unlink((layout_.manifests() + "/" + file.name).c_str()) == 0)
      ++pruned.leftovers;
  remove_empty_folders_below(layout_.manifests());
  return pruned;
}

}  // namespace quipu::store
