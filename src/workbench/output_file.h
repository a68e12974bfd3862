// Where a command's result goes: a file that appears complete or not at all. A device, a pipe or "-"
// (standard output) is written as it comes.
//
// Threads: one.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "gguf/atomic_file.h"

namespace quipu::workbench {

class OutputFile {
 public:
  static Result<OutputFile> create(const std::string& path);
  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&& other) noexcept;
  ~OutputFile();

  Result<void> append(std::span<const std::byte> bytes);
  template <class T>
  Result<void> append_values(std::span<const T> values) {
    return append(std::as_bytes(values));
  }
  // Without it nothing appears.
  Result<void> finish();

 private:
  explicit OutputFile(std::string path) : path_(std::move(path)) {}
  Result<void> flush();

  std::string path_;
  std::optional<gguf::AtomicFile> file_;
  int device_ = -1;
  std::vector<std::byte> buffer_;
};

}  // namespace quipu::workbench
