#include "workbench/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace quipu::workbench {

namespace {

constexpr size_t kBuffer = size_t{256}
                           << 10;  // rows of logits come in pieces of a few bytes to some hundred KB

}  // namespace

Result<OutputFile> OutputFile::create(const std::string& path) {
  OutputFile out(path);
  if (path == "-") {
    out.device_ = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
    if (out.device_ < 0) return error(Code::kIo, "cannot write to standard output: {}", std::strerror(errno));
    return out;
  }
  struct stat facts{};
  const bool exists = stat(path.c_str(), &facts) == 0;
  if (exists && S_ISDIR(facts.st_mode)) return error(Code::kIo, "cannot write {}: it is a folder", path);
  if (exists && !S_ISREG(facts.st_mode)) {
    out.device_ = open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (out.device_ < 0) return error(Code::kIo, "cannot write {}: {}", path, std::strerror(errno));
    return out;
  }
  QUIPU_ASSIGN(out.file_, gguf::AtomicFile::create(path));
  return out;
}

OutputFile::OutputFile(OutputFile&& other) noexcept { *this = std::move(other); }

OutputFile& OutputFile::operator=(OutputFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(file_, other.file_);
  std::swap(device_, other.device_);
  std::swap(buffer_, other.buffer_);
  return *this;
}

OutputFile::~OutputFile() {
  if (device_ >= 0) close(device_);
}

Result<void> OutputFile::append(std::span<const std::byte> bytes) {
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  return buffer_.size() >= kBuffer ? flush() : Result<void>();
}

Result<void> OutputFile::flush() {
  if (file_) {
    QUIPU_TRY(file_->append(buffer_));
  } else {
    for (std::span<const std::byte> rest(buffer_); !rest.empty();) {
      const ssize_t n = write(device_, rest.data(), rest.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return error(Code::kIo, "cannot write {}: {}", path_, std::strerror(errno));
      rest = rest.subspan(static_cast<size_t>(n));
    }
  }
  buffer_.clear();
  return {};
}

Result<void> OutputFile::finish() {
  QUIPU_TRY(flush());
  return file_ ? file_->commit() : Result<void>();
}

}  // namespace quipu::workbench
