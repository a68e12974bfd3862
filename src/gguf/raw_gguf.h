// Hand-made GGUF bytes for tests: nothing is checked, everything can be wrong.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace quipu::gguf::test {

class Raw {
 public:
  template <class T>
  Raw& put(T v) {
    bytes_.append(reinterpret_cast<const char*>(&v), sizeof v);
    return *this;
  }
  Raw& string(std::string_view s) {
    put<uint64_t>(s.size());
    bytes_ += s;
    return *this;
  }
  Raw& raw(std::string_view s) {
    bytes_ += s;
    return *this;
  }
  Raw& header(uint64_t n_tensors, uint64_t n_keys, uint32_t version = 3) {
    return raw("GGUF").put(version).put(n_tensors).put(n_keys);
  }
  template <class T>
  Raw& scalar(std::string_view key, int32_t type, T v) {
    return string(key).put(type).put(v);
  }
  Raw& text(std::string_view key, std::string_view v) { return string(key).put<int32_t>(8).string(v); }
  Raw& array(std::string_view key, int32_t element, uint64_t count, std::string_view bytes = {}) {
    return string(key).put<int32_t>(9).put(element).put(count).raw(bytes);
  }
  Raw& tensor(std::string_view name, const std::vector<int64_t>& shape, int32_t type, uint64_t offset) {
    string(name).put(static_cast<uint32_t>(shape.size()));
    for (const int64_t n : shape) put(n);
    return put(type).put(offset);
  }
  Raw& pad(size_t alignment = 32) {
    bytes_.resize((bytes_.size() + alignment - 1) / alignment * alignment);
    return *this;
  }
  Raw& data(size_t n, char c = 1) {
    bytes_.append(n, c);
    return *this;
  }
  const std::string& str() const { return bytes_; }

 private:
  std::string bytes_;
};

inline std::span<const std::byte> as_bytes(std::string_view s) {
  return {reinterpret_cast<const std::byte*>(s.data()), s.size()};
}

}  // namespace quipu::gguf::test
