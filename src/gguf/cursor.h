// Reads little-endian values from a span of bytes, never beyond its end.
#pragma once

#include <cstring>
#include <span>
#include <string_view>

#include "base/result.h"

namespace quipu::gguf {

class Cursor {
 public:
  explicit Cursor(std::span<const std::byte> bytes) : bytes_(bytes) {}

  size_t position() const { return at_; }
  size_t remaining() const { return bytes_.size() - at_; }

  // `what` is being read: it names the place in the error.
  template <class T>
  Result<T> read(std::string_view what) {
    T v;
    if (remaining() < sizeof v) return ends(what);
    std::memcpy(&v, bytes_.data() + at_, sizeof v);
    at_ += sizeof v;
    return v;
  }

  Result<std::span<const std::byte>> take(uint64_t n, std::string_view what) {
    if (n > remaining()) return ends(what);
    const auto s = bytes_.subspan(at_, static_cast<size_t>(n));
    at_ += static_cast<size_t>(n);
    return s;
  }

  // u64 length, then bytes; any bytes.
  Result<std::string_view> string(std::string_view what) {
    QUIPU_ASSIGN(const uint64_t n, read<uint64_t>(what));
    if (n > kMaxString || n > remaining())
      return error(Code::kCorrupt, "{} claims {} bytes; {} are left in the file", what, n, remaining());
    QUIPU_ASSIGN(const auto s, take(n, what));
    return std::string_view(reinterpret_cast<const char*>(s.data()), s.size());
  }

 private:
  static constexpr uint64_t kMaxString = uint64_t{1} << 30;

  std::unexpected<Error> ends(std::string_view what) const {
    return error(Code::kCorrupt, "the file ends within {} (at byte {} of {})", what, at_, bytes_.size());
  }

  std::span<const std::byte> bytes_;
  size_t at_ = 0;
};

}  // namespace quipu::gguf
