// A file mapped read-only for as long as the object lives. Registered for guard_mappings(), so that a file
// that shrinks under the map ends the process with a sentence that names it.
//
// Threads: immutable but for moves; populate() may run beside readers.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "base/result.h"
#include "gguf/shrink_guard.h"

namespace quipu::gguf {

class MappedFile {
 public:
  // An empty file, a folder or a device is an error.
  static Result<MappedFile> open(const std::string& path);
  MappedFile() = default;
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }
  Result<void> populate() const;  // reads every page in

 private:
  void close();
  std::string path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  ShrinkGuard guard_;
};

}  // namespace quipu::gguf
