// How much of the native stack a recursive interpreter may use. Worker threads may have as little as 512 KB
// and their callers need some of it; AddressSanitizer's frames are several times as large, and its builds run
// on 8 MB stacks.
//
// Threads: belongs to the thread that made it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace quipu {

class NativeStack {
 public:
#if defined(__SANITIZE_ADDRESS__)
  static constexpr size_t kBytes = 2u << 20;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
  static constexpr size_t kBytes = 2u << 20;
#else
  static constexpr size_t kBytes = 256u << 10;
#endif
#else
  static constexpr size_t kBytes = 256u << 10;
#endif

  // Counts from the frame that makes it.
  NativeStack() : base_(reinterpret_cast<uintptr_t>(__builtin_frame_address(0))) {}

  bool exhausted() const {
    const auto here = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
    return (here < base_ ? base_ - here : here - base_) > kBytes;
  }

 private:
  const uintptr_t base_;
};

}  // namespace quipu
