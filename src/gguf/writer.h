// Writes GGUF v3 files. Metadata keeps the order of the calls; tensor data is streamed.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gguf/file.h"

namespace quipu::gguf {

class Writer {
 public:
  explicit Writer(uint32_t alignment = 32);
  ~Writer();

  void add_uint32(std::string_view key, uint32_t v);
  void add_int32(std::string_view key, int32_t v);
  void add_uint64(std::string_view key, uint64_t v);
  void add_float32(std::string_view key, float v);
  void add_bool(std::string_view key, bool v);
  void add_string(std::string_view key, std::string_view v);
  void add_strings(std::string_view key, std::span<const std::string> v);
  void add_int32s(std::string_view key, std::span<const int32_t> v);
  void add_float32s(std::string_view key, std::span<const float> v);
  void add_entry(const Entry& entry);  // copied from another file, any type

  // Declares a tensor; `data` must stay valid until write() or bytes() and have exactly the tensor's size.
  Result<void> add_tensor(std::string_view name, TensorType type, std::span<const int64_t> shape,
                          std::span<const std::byte> data);

  // To PATH atomically: a temporary file beside it, synced, then renamed; on error nothing is left behind.
  Result<void> write(const std::string& path) const;
  std::vector<std::byte> bytes() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace quipu::gguf
