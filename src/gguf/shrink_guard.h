// A range of addresses that belongs to a mapped file. While it exists, and once guard_mappings() has been
// called, a SIGBUS within the range (the file was cut under the map, or its disk failed) ends the process
// with a sentence that names the file. A SIGBUS anywhere else does what it does by default.
//
// Threads: ranges may come and go on any thread, also while another thread is in the signal handler.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <utility>

namespace quipu::gguf {

class ShrinkGuard {
 public:
  ShrinkGuard() = default;
  ShrinkGuard(std::span<const std::byte> range, const std::string& path);
  ~ShrinkGuard();
  ShrinkGuard(ShrinkGuard&& other) noexcept : slot_(std::exchange(other.slot_, nullptr)) {}
  ShrinkGuard& operator=(ShrinkGuard&& other) noexcept {
    std::swap(slot_, other.slot_);
    return *this;
  }

 private:
  friend class ShrinkHandler;
  struct Slot;
  Slot* slot_ = nullptr;
};

}  // namespace quipu::gguf
