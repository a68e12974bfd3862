#include "gguf/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "gguf/file.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

namespace quipu::gguf {

namespace {

// What the signal handler may look at: fixed storage, atomics only. Mappings beyond the table are simply not named.
struct GuardedRange {
  std::atomic<uintptr_t> begin{0}, end{0};
  std::array<char, 512> path{};
};
std::array<GuardedRange, 128> g_ranges;

int guard(const std::byte* data, size_t size, const std::string& path) {
  for (size_t i = 0; i < g_ranges.size(); ++i) {
    uintptr_t free = 0;
    GuardedRange& r = g_ranges[i];
    if (!r.begin.compare_exchange_strong(free, 1)) continue;  // 1: taken, not yet valid
    std::strncpy(r.path.data(), path.c_str(), r.path.size() - 1);
    r.end.store(reinterpret_cast<uintptr_t>(data) + size);
    r.begin.store(reinterpret_cast<uintptr_t>(data));
    return static_cast<int>(i);
  }
  return -1;
}

void unguard(int slot) {
  if (slot < 0) return;
  g_ranges[static_cast<size_t>(slot)].end.store(0);
  g_ranges[static_cast<size_t>(slot)].begin.store(0);
}

void say(const char* text) {
  const ssize_t ignored = write(STDERR_FILENO, text, std::strlen(text));
  (void)ignored;
}

// Only async-signal-safe calls in here.
void on_bus_error(int, siginfo_t* info, void*) {
  const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
  for (const GuardedRange& r : g_ranges) {
    const uintptr_t begin = r.begin.load();
    if (begin <= 1 || address < begin || address >= r.end.load()) continue;
    say("Error: ");
    say(r.path.data());
    say(" became shorter or unreadable while it was in use; the model cannot go on\n");
    _exit(1);
  }
  signal(SIGBUS, SIG_DFL);
  raise(SIGBUS);
}

}  // namespace

void guard_mappings() {
  struct sigaction action {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGBUS, &action, nullptr);
}

Result<MappedFile> MappedFile::open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return error(errno == ENOENT ? Code::kNotFound : Code::kIo, "cannot open {}: {}", path, std::strerror(errno));
  struct stat st {};
  MappedFile f;
  f.path_ = path;
  Result<MappedFile> result;
  if (fstat(fd, &st) != 0) {
    result = error(Code::kIo, "cannot read {}: {}", path, std::strerror(errno));
  } else if (!S_ISREG(st.st_mode)) {
    result = error(Code::kInvalidArgument, "{} is not a file", path);
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
      f.slot_ = guard(f.data_, f.size_, path);
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
  slot_ = std::exchange(other.slot_, -1);
  return *this;
}

void MappedFile::close() {
  if (data_ == nullptr) return;
  unguard(std::exchange(slot_, -1));
  munmap(const_cast<std::byte*>(data_), size_);
  data_ = nullptr;
}

Result<void> MappedFile::populate() const {
  if (madvise(const_cast<std::byte*>(data_), size_, MADV_POPULATE_READ) == 0) return {};
  if (errno != EINVAL && errno != ENOSYS)
    return error(Code::kIo, "cannot read {} into memory: {}", path_, std::strerror(errno));
  // Kernels before 5.14: touch every page.
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  for (size_t i = 0; i < size_; i += page) (void)*reinterpret_cast<const volatile char*>(data_ + i);
  return {};
}

}  // namespace quipu::gguf
