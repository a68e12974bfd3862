#include "store/manifest_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "base/system_error.h"

namespace quipu::store {

namespace {

namespace fs = std::filesystem;

constexpr int kLevels = 4;  // host, namespace, model, tag

Result<void> list_below(const std::string& top, const std::string& below, int level,
                        std::vector<ManifestFile>& files) {
  std::error_code ec;
  for (fs::directory_iterator it(top + below, ec), end; !ec && it != end; it.increment(ec)) {
    const std::string path = below + "/" + it->path().filename().string();
    std::error_code ignored;
    const bool folder = it->is_directory(ignored);
    if (level < kLevels && folder) QUIPU_TRY(list_below(top, path, level + 1, files));
    if (level == kLevels && !folder)
      files.push_back({top + path, name_of_manifest_path(std::string_view(path).substr(1))});
  }
  // Another process may have removed the folder just now.
  if (ec && ec != std::errc::no_such_file_or_directory)
    return error(Code::kIo, "cannot read {}: {}", top + below, system_message(ec.value()));
  return {};
}

}  // namespace

Result<std::vector<ManifestFile>> list_manifest_files(const std::string& folder) {
  std::vector<ManifestFile> files;
  QUIPU_TRY(list_below(folder, "", 1, files));
  return files;
}

Result<FileContent> read_small_file(const std::string& path, uint64_t limit) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // nothing that blocks is a file
  if (fd < 0) {
    const Code code = errno == ENOENT || errno == ENOTDIR ? Code::kNotFound : Code::kIo;
    return error(code, "open {}: {}", path, system_message(errno));
  }
  const auto close_with = [fd](auto result) {
    ::close(fd);
    return result;
  };
  struct stat info{};
  if (::fstat(fd, &info) != 0)
    return close_with(error(Code::kIo, "stat {}: {}", path, system_message(errno)));
  if (!S_ISREG(info.st_mode)) return close_with(error(Code::kCorrupt, "{} is no file", path));
  FileContent content{.bytes = {}, .modified_ns = info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec};
  // It may grow while it is read, so its size says nothing for certain.
  constexpr size_t kPiece = 65536;
  for (;;) {
    const size_t have = content.bytes.size();
    content.bytes.resize(have + kPiece);
    const ssize_t n = ::read(fd, content.bytes.data() + have, kPiece);
    content.bytes.resize(have + (n > 0 ? static_cast<size_t>(n) : 0));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return close_with(error(Code::kIo, "read {}: {}", path, system_message(errno)));
    if (n == 0) break;
    if (content.bytes.size() > limit)
      return close_with(error(Code::kCorrupt, "{} has more than {} bytes", path, limit));
  }
  ::close(fd);
  return content;
}

void remove_empty_folders(std::string folder, const std::string& top) {
  while (folder.size() > top.size() && folder.starts_with(top) && ::rmdir(folder.c_str()) == 0)
    folder.resize(folder.rfind('/'));
}

void remove_empty_folders_below(const std::string& top) {
  std::error_code ec;
  std::vector<std::string> folders;
  for (fs::recursive_directory_iterator it(top, ec), end; !ec && it != end; it.increment(ec)) {
    std::error_code ignored;
    if (it->is_directory(ignored) && !it->is_symlink(ignored)) folders.push_back(it->path().string());
    if (it.depth() >= kLevels) it.disable_recursion_pending();
  }
  // From the deepest up; what is not empty stays.
  for (auto folder = folders.rbegin(); folder != folders.rend(); ++folder) (void)::rmdir(folder->c_str());
}

}  // namespace quipu::store
