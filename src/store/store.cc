#include "store/store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "base/environment.h"
#include "base/log.h"
#include "base/system_error.h"
#include "store/manifest_files.h"

namespace quipu::store {

namespace {

namespace fs = std::filesystem;

Result<void> make_folders(const std::string& path) {
  std::error_code ec, of_look;
  fs::create_directories(path, ec);
  if (!ec || fs::is_directory(path, of_look)) return {};
  return error(Code::kIo,
               "cannot make the folder {}: {}; set QUIPU_MODELS to a folder that can be written to", path,
               system_message(ec.value()));
}

}  // namespace

Store::Options Store::options_from_environment() {
  Options options;
  const auto no_prune = environment({"QUIPU_NOPRUNE", "OLLAMA_NOPRUNE"});
  options.no_prune = no_prune && no_prune->on();
  return options;
}

Result<std::unique_ptr<Store>> Store::open(std::string root, Options options) {
  while (root.size() > 1 && root.ends_with('/')) root.pop_back();
  std::error_code ec;
  const fs::path absolute = fs::absolute(root, ec);  // the folder stays the same wherever the process goes
  std::unique_ptr<Store> store(new Store(ec ? root : absolute.string(), std::move(options)));
  QUIPU_TRY(make_folders(store->layout_.blobs()));
  QUIPU_TRY(make_folders(store->layout_.manifests()));
  store->rename_old_blobs();
  return store;
}

// Blobs were once named as their digest is written.
void Store::rename_old_blobs() {
  constexpr std::string_view kOld = "sha256:";
  std::error_code ec;
  std::vector<std::string> names;
  for (fs::directory_iterator it(layout_.blobs(), ec), end; !ec && it != end; it.increment(ec))
    if (std::string name = it->path().filename().string(); name.starts_with(kOld))
      names.push_back(std::move(name));
  for (const std::string& name : names) {
    const std::string from = layout_.blobs() + "/" + name;
    const std::string to = layout_.blobs() + "/sha256-" + name.substr(kOld.size());
    fs::rename(from, to, ec);
    if (ec) spdlog::warn("cannot rename {} to {}: {}", from, to, system_message(ec.value()));
  }
}

void Store::Hold::release() {
  const std::scoped_lock lock(store_->holds_mutex_);
  for (const Digest& digest : digests_)
    if (const auto it = store_->holds_.find(digest); --it->second == 0) store_->holds_.erase(it);
  digests_.clear();
}

void Store::Hold::add(const Digest& digest) {
  const std::scoped_lock lock(store_->holds_mutex_);
  ++store_->holds_[digest];
  digests_.push_back(digest);
}

std::optional<uint64_t> Store::blob_bytes(const Digest& digest) const {
  struct stat info{};
  if (::stat(blob_path(digest).c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return std::nullopt;
  return static_cast<uint64_t>(info.st_size);
}

bool Store::use_blob(const Digest& digest) {
  if (!blob_bytes(digest)) return false;
  const std::string path = blob_path(digest);
  if (::utimensat(AT_FDCWD, path.c_str(), nullptr, 0) == 0) return true;
  if (errno == ENOENT) return false;  // removed just now
  spdlog::debug("cannot set the time of {}: {}", path, system_message(errno));
  return true;
}

Result<std::string> Store::read_blob(const Digest& digest, uint64_t limit) const {
  QUIPU_ASSIGN(FileContent content, read_small_file(blob_path(digest), limit));
  return std::move(content.bytes);
}

Result<Store::BlobWriter> Store::write_blob() {
  QUIPU_ASSIGN(gguf::AtomicFile file, gguf::AtomicFile::create_unnamed(layout_.blob_stem(), file_options()));
  return BlobWriter(*this, std::move(file));
}

Result<void> Store::BlobWriter::append(std::span<const std::byte> bytes) {
  hash_.update(bytes);
  bytes_ += bytes.size();
  return file_.append(bytes);
}

Result<Store::WrittenBlob> Store::BlobWriter::finish(Hold* hold, std::optional<Digest> expected) {
  WrittenBlob written{.digest = hash_.finish(), .bytes = bytes_};
  if (hold != nullptr) hold->add(written.digest);
  // One of another length is damaged, and replaced.
  written.was_there = store_->blob_bytes(written.digest) == bytes_ && store_->use_blob(written.digest);
  if (written.was_there)
    file_ = {};
  else
    QUIPU_TRY(file_.commit_as(store_->blob_path(written.digest)));
  if (expected && *expected != written.digest)
    return error(Code::kInvalidArgument, "digest mismatch, expected \"{}\", got \"{}\"", expected->text(),
                 written.digest.text());
  return written;
}

Result<Store::WrittenBlob> Store::put_blob(std::string_view content, Hold* hold) {
  QUIPU_ASSIGN(BlobWriter writer, write_blob());
  QUIPU_TRY(writer.append(content));
  return writer.finish(hold);
}

std::string Store::scratch_path() {
  return fmt::format("{}-made-{}-{}", layout_.blob_stem(), getpid(), scratch_count_++);
}

Result<Store::WrittenBlob> Store::adopt_file(const std::string& path, Hold& hold) {
  const auto failed = [&path](Error problem) {
    ::unlink(path.c_str());
    return std::unexpected(std::move(problem));
  };
  auto digest = digest_of_file(path);
  if (!digest) return failed(digest.error());
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0)
    return failed({Code::kIo, fmt::format("stat {}: {}", path, system_message(errno)), {}});
  (void)::chmod(path.c_str(), kFileMode);
  hold.add(*digest);
  WrittenBlob written{.digest = *digest, .bytes = static_cast<uint64_t>(info.st_size)};
  written.was_there = blob_bytes(*digest) == written.bytes && use_blob(*digest);
  if (written.was_there)
    ::unlink(path.c_str());
  else if (::rename(path.c_str(), blob_path(*digest).c_str()) != 0)
    return failed({Code::kIo, fmt::format("rename {}: {}", path, system_message(errno)), {}});
  return written;
}

// Both locks are needed: a hold begun after the check would come too late.
bool Store::remove_blob_unless_held(const Digest& digest) {
  const std::scoped_lock lock(holds_mutex_);
  if (holds_.contains(digest)) return false;
  if (::unlink(blob_path(digest).c_str()) == 0) return true;
  if (errno != ENOENT) spdlog::warn("cannot remove {}: {}", blob_path(digest), system_message(errno));
  return false;
}

size_t Store::remove_unreferenced(std::span<const Digest> candidates) {
  const std::scoped_lock lock(change_);
  const auto in_use = referenced();
  if (!in_use) {
    spdlog::warn("no blobs are removed: {}", in_use.error().message);
    return 0;
  }
  size_t removed = 0;
  for (const Digest& digest : candidates)
    if (!in_use->contains(digest) && remove_blob_unless_held(digest)) ++removed;
  return removed;
}

}  // namespace quipu::store
