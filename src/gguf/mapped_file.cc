#include "gguf/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>

#include "gguf/shrink_guard.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

namespace quipu::gguf {

Result<MappedFile> MappedFile::open(const std::string& path) {
  const int fd =
      ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a pipe without a writer would wait
  if (fd < 0)
    return error(errno == ENOENT ? Code::kNotFound : Code::kIo, "cannot open {}: {}", path,
                 std::strerror(errno));
  struct stat st{};
  MappedFile f;
  f.path_ = path;
  Result<MappedFile> result;
  if (fstat(fd, &st) != 0) {
    result = error(Code::kIo, "cannot read {}: {}", path, std::strerror(errno));
  } else if (!S_ISREG(st.st_mode)) {
    result = error(Code::kIo, "{} is not a regular file", path);
  } else if (st.st_size == 0) {
    result = error(Code::kCorrupt, "{} is empty", path);
  } else {
    f.size_ = static_cast<size_t>(st.st_size);
    void* p = mmap(nullptr, f.size_, PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED) {
      f.size_ = 0;
      result = error(Code::kIo, "cannot map {}: {}", path, std::strerror(errno));
    } else {
      f.data_ = static_cast<const std::byte*>(p);
      f.guard_ = ShrinkGuard(f.bytes(), path);
      result = std::move(f);
    }
  }
  ::close(fd);
  return result;
}

MappedFile::~MappedFile() { close(); }

MappedFile::MappedFile(MappedFile&& other) noexcept { *this = std::move(other); }

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  if (this == &other) return *this;
  close();
  path_ = std::move(other.path_);
  data_ = std::exchange(other.data_, nullptr);
  size_ = std::exchange(other.size_, 0);
  guard_ = std::move(other.guard_);
  return *this;
}

void MappedFile::close() {
  if (data_ == nullptr) return;
  guard_ = ShrinkGuard();
  munmap(const_cast<std::byte*>(data_), size_);
  data_ = nullptr;
}

Result<void> MappedFile::populate() const {
  if (madvise(const_cast<std::byte*>(data_), size_, MADV_POPULATE_READ) == 0) return {};
  if (errno == EFAULT || errno == EHWPOISON)
    return error(Code::kIo, "{} became shorter or unreadable while it was being read", path_);
  if (errno != EINVAL && errno != ENOSYS)
    return error(Code::kIo, "cannot read {} into memory: {}", path_, std::strerror(errno));
  // Kernels before 5.14: touch every page.
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  for (size_t i = 0; i < size_; i += page) (void)*reinterpret_cast<const volatile char*>(data_ + i);
  return {};
}

}  // namespace quipu::gguf
