// Reads little-endian values from a span of bytes, never beyond its end.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace quipu::gguf {

static_assert(std::endian::native == std::endian::little, "GGUF values are read as they lie in memory");

// A key or name as it may be shown: bounded, and without control characters.
std::string shown(std::string_view s);

// What is being read, described only when an error needs the words: files have millions of values.
struct Place {
  enum class Kind { kHeader, kKey, kValue, kTensor, kTensorName };
  Kind kind = Kind::kHeader;
  uint64_t number = 0;    // of a key or tensor, from 1
  std::string_view name;  // of a value's key or of a tensor, once it is known
  std::string text() const;
};

class Cursor {
 public:
  explicit Cursor(std::span<const std::byte> bytes) : bytes_(bytes) {}

  size_t position() const { return at_; }
  size_t remaining() const { return bytes_.size() - at_; }

  template <class T>
  Result<T> read(const Place& place) {
    T v;
    if (remaining() < sizeof v) return ends(place);
    std::memcpy(&v, bytes_.data() + at_, sizeof v);
    at_ += sizeof v;
    return v;
  }

  Result<std::span<const std::byte>> take(uint64_t n, const Place& place) {
    if (n > remaining()) return ends(place);
    const auto s = bytes_.subspan(at_, static_cast<size_t>(n));
    at_ += static_cast<size_t>(n);
    return s;
  }

  // u64 length, then bytes; any bytes.
  Result<std::string_view> string(const Place& place) {
    QUIPU_ASSIGN(const uint64_t n, read<uint64_t>(place));
    if (n > kMaxString || n > remaining()) return too_long(place, n);
    QUIPU_ASSIGN(const auto s, take(n, place));
    return std::string_view(reinterpret_cast<const char*>(s.data()), s.size());
  }

 private:
  static constexpr uint64_t kMaxString = uint64_t{1} << 30;

  std::unexpected<Error> ends(const Place& place) const;
  std::unexpected<Error> too_long(const Place& place, uint64_t n) const;

  std::span<const std::byte> bytes_;
  size_t at_ = 0;
};

}  // namespace quipu::gguf
