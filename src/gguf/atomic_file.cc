#include "gguf/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace quipu::gguf {

namespace {

std::unexpected<Error> failed(const std::string& path, int number) {
  return error(Code::kIo, "cannot write {}: {}", path, std::strerror(number));
}

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash + 1);
}

constexpr int kMostNames = 1000;
std::string temporary_name(const std::string& stem, int i) {
  return fmt::format("{}-{}-{}", stem, getpid(), i);
}

}  // namespace

Result<AtomicFile> AtomicFile::create(const std::string& path, const std::string& stem, Options options) {
  AtomicFile f;
  f.path_ = path;
  f.stem_ = stem;
  f.options_ = std::move(options);
  // A file without a name: whatever ends this process, nothing is left. Not every file system has them.
  f.fd_ = ::open(folder_of(stem).c_str(), O_WRONLY | O_TMPFILE | O_CLOEXEC, 0666);
  // O_EXCL with numbered names rather than mkstemp, whose files only their owner may read.
  for (int i = 0; i < kMostNames && f.fd_ < 0; ++i) {
    f.temporary_ = temporary_name(stem, i);
    f.fd_ = ::open(f.temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (f.fd_ < 0 && errno != EEXIST) break;
  }
  if (f.fd_ < 0) return failed(path.empty() ? folder_of(stem) : path, errno);
  // Where modes mean nothing, the file is still right.
  if (f.options_.mode) (void)::fchmod(f.fd_, *f.options_.mode);
  f.step();
  return f;
}

AtomicFile::~AtomicFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept { *this = std::move(other); }

AtomicFile& AtomicFile::operator=(AtomicFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(stem_, other.stem_);
  std::swap(temporary_, other.temporary_);
  std::swap(options_, other.options_);
  std::swap(fd_, other.fd_);
  return *this;
}

Result<void> AtomicFile::append(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed(path_.empty() ? folder_of(stem_) : path_, errno);
    bytes = bytes.subspan(static_cast<size_t>(n));
    step();
  }
  return {};
}

// A link cannot replace a file, a rename can: a temporary name comes first.
Result<void> AtomicFile::name(const std::string& path) {
  const std::string self = fmt::format("/proc/self/fd/{}", fd_);
  for (int i = 0; i < kMostNames; ++i) {
    temporary_ = temporary_name(stem_, i);
    if (::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, temporary_.c_str(), AT_SYMLINK_FOLLOW) == 0) return {};
    const int number = errno;
    temporary_.clear();
    if (number != EEXIST) return failed(path, number);
  }
  return failed(path, EEXIST);
}

Result<void> AtomicFile::commit_as(const std::string& path) {
  if (::fsync(fd_) != 0) return failed(path, errno);
  step();
  if (temporary_.empty()) QUIPU_TRY(name(path));
  step();
  if (::rename(temporary_.c_str(), path.c_str()) != 0) return failed(path, errno);
  ::close(std::exchange(fd_, -1));
  step();
  // The new name must survive a power cut too. A folder that cannot be synced is no reason to fail.
  const int dir = ::open(folder_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (dir >= 0) {
    (void)::fsync(dir);
    ::close(dir);
  }
  step();
  return {};
}

}  // namespace quipu::gguf
