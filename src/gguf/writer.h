// Writes GGUF v3 files. Metadata keeps the order of the calls; tensor data is streamed, never held.
//
// Threads: an object belongs to one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
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
  // If it is not the default, the file says so itself (general.alignment).
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
  // Copied from another file, any type. general.alignment is left out: this file has its own.
  void add_entry(const Entry& entry);

  // Declares a tensor; `data` must stay valid until write() or bytes() and have exactly the tensor's size.
  Result<void> add_tensor(std::string_view name, TensorType type, std::span<const int64_t> shape,
                          std::span<const std::byte> data);

  // The same for data that is made while the file is written: `fill` is asked for one piece after the other,
  // each a whole number of blocks of at most about 1 MiB, beginning `offset` bytes into the tensor.
  using Fill = std::function<void(uint64_t offset, std::span<std::byte> piece)>;
  Result<void> add_tensor(std::string_view name, TensorType type, std::span<const int64_t> shape, Fill fill);

  // To PATH atomically: a temporary file beside it, synced, then renamed; on error nothing is left behind.
  // Keys that are empty or there twice, and an alignment that readers would refuse, are errors.
  Result<void> write(const std::string& path) const;
  std::vector<std::byte> bytes() const;  // without those checks: tests also need files that are wrong

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace quipu::gguf
