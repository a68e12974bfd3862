#include "memory/arena.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/checked.h"
#include "base/units.h"

namespace quipu::memory {

Result<Arena> Arena::create(size_t bytes, Category category, Ledger& ledger) {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const auto size = checked_round_up<size_t>(bytes == 0 ? 1 : bytes, page);
  if (!size)
    return error(Code::kOutOfMemory, "a {} of {} is more than can be addressed", category_name(category),
                 bytes);
  void* p = mmap(nullptr, *size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED)
    return error(Code::kOutOfMemory, "cannot allocate {} for {}: {}", format_bytes(*size),
                 category_name(category), std::strerror(errno));
  Arena arena;
  arena.data_ = static_cast<std::byte*>(p);
  arena.size_ = *size;
  arena.category_ = category;
  arena.ledger_ = &ledger;
  for (size_t i = 0; i < *size; i += page) static_cast<volatile char*>(p)[i] = 0;
  ledger.add(category, *size);
  return arena;
}

Arena::~Arena() { unmap(); }

Arena::Arena(Arena&& other) noexcept { *this = std::move(other); }

Arena& Arena::operator=(Arena&& other) noexcept {
  if (this == &other) return *this;
  unmap();
  data_ = std::exchange(other.data_, nullptr);
  size_ = std::exchange(other.size_, 0);
  used_ = std::exchange(other.used_, 0);
  category_ = other.category_;
  ledger_ = other.ledger_;
  return *this;
}

void Arena::unmap() {
  if (data_ == nullptr) return;
  munmap(data_, size_);
  ledger_->subtract(category_, size_);
  data_ = nullptr;
}

std::byte* Arena::take(size_t bytes) {
  const size_t start = round_up(used_, kArenaAlignment);
  if (start > size_ || bytes > size_ - start) return nullptr;
  used_ = start + bytes;
  return data_ + start;
}

}  // namespace quipu::memory
