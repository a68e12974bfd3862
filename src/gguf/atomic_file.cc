#include "gguf/atomic_file.h"

#include <fcntl.h>
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
std::string temporary_name(const std::string& path, int i) {
  return fmt::format("{}.part-{}-{}", path, getpid(), i);
}

}  // namespace

Result<AtomicFile> AtomicFile::create(const std::string& path) {
  AtomicFile f;
  f.path_ = path;
  // A file without a name: whatever ends this process, nothing is left. Not every file system has them.
  f.fd_ = ::open(folder_of(path).c_str(), O_WRONLY | O_TMPFILE | O_CLOEXEC, 0666);
  if (f.fd_ >= 0) return f;
  // O_EXCL with numbered names rather than mkstemp, whose files only their owner may read.
  for (int i = 0; i < kMostNames; ++i) {
    f.temporary_ = temporary_name(path, i);
    f.fd_ = ::open(f.temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (f.fd_ >= 0) return f;
    if (errno != EEXIST) break;
  }
  return failed(path, errno);
}

AtomicFile::~AtomicFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept { *this = std::move(other); }

AtomicFile& AtomicFile::operator=(AtomicFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(temporary_, other.temporary_);
  std::swap(fd_, other.fd_);
  return *this;
}

Result<void> AtomicFile::append(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed(path_, errno);
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
  return {};
}

// A link cannot replace a file, a rename can: a name beside the final one comes first.
Result<void> AtomicFile::name() {
  const std::string self = fmt::format("/proc/self/fd/{}", fd_);
  for (int i = 0; i < kMostNames; ++i) {
    temporary_ = temporary_name(path_, i);
    if (::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, temporary_.c_str(), AT_SYMLINK_FOLLOW) == 0) return {};
    const int number = errno;
    temporary_.clear();
    if (number != EEXIST) return failed(path_, number);
  }
  return failed(path_, EEXIST);
}

Result<void> AtomicFile::commit() {
  if (::fsync(fd_) != 0) return failed(path_, errno);
  if (temporary_.empty()) QUIPU_TRY(name());
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) return failed(path_, errno);
  ::close(std::exchange(fd_, -1));
  // The new name must survive a power cut too. A folder that cannot be synced is no reason to fail.
  const int dir = ::open(folder_of(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (dir >= 0) {
    (void)::fsync(dir);
    ::close(dir);
  }
  return {};
}

}  // namespace quipu::gguf
