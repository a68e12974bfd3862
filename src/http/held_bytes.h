// What the requests of all connections together make a server hold in memory.
//
// Threads: a HeldBytes one at a time; several on different threads may count into one total.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

namespace quipu::http {

using HeldTotal = std::shared_ptr<std::atomic<uint64_t>>;

// One holder's part of the total, for as long as it lives.
class HeldBytes {
 public:
  HeldBytes() = default;  // counts nowhere
  explicit HeldBytes(HeldTotal total) : total_(std::move(total)) {}
  ~HeldBytes() { set(0); }
  HeldBytes(HeldBytes&& other) noexcept
      : total_(std::move(other.total_)), bytes_(std::exchange(other.bytes_, 0)) {}
  HeldBytes& operator=(HeldBytes&&) = delete;

  void set(uint64_t bytes) {
    if (total_) *total_ += bytes - bytes_;  // wraps around to less
    bytes_ = bytes;
  }

 private:
  HeldTotal total_;
  uint64_t bytes_ = 0;
};

}  // namespace quipu::http
