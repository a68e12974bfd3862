// A file that appears under its name complete or not at all: written without a name (or, where the file
// system has no such files, beside it), synced, renamed. Without commit() nothing is left behind.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "base/result.h"

namespace quipu::gguf {

class AtomicFile {
 public:
  static Result<AtomicFile> create(const std::string& path);
  AtomicFile() = default;
  ~AtomicFile();
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&& other) noexcept;

  Result<void> append(std::span<const std::byte> bytes);
  Result<void> commit();  // replaces what stood under the name

 private:
  Result<void> name();

  std::string path_, temporary_;  // temporary_ is empty as long as the file has no name
  int fd_ = -1;
};

}  // namespace quipu::gguf
