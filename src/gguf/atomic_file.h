// A file that appears under its name complete or not at all: written without a name (or, where the file
// system has no such files, under a temporary one), synced, renamed. Without commit() nothing is left behind.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"

namespace quipu::gguf {

class AtomicFile {
 public:
  struct Options {
    std::optional<mode_t> mode;  // exactly this; without it what the process's mask leaves of 0666
    // Called between the steps of writing: tests end the process there.
    std::function<void()> step;
  };

  static Result<AtomicFile> create(const std::string& path) { return create(path, path + ".part", {}); }
  // A file whose name is known only when it is complete. `stem`: what temporary names begin with; they have
  // to lie in the same file system as the final one.
  static Result<AtomicFile> create_unnamed(const std::string& stem, Options options) {
    return create({}, stem, std::move(options));
  }
  AtomicFile() = default;
  ~AtomicFile();
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&& other) noexcept;

  Result<void> append(std::span<const std::byte> bytes);
  // Replaces what stood under the name.
  Result<void> commit() { return commit_as(path_); }
  Result<void> commit_as(const std::string& path);

 private:
  static Result<AtomicFile> create(const std::string& path, const std::string& stem, Options options);
  Result<void> name(const std::string& path);
  void step() const {
    if (options_.step) options_.step();
  }

  std::string path_, stem_, temporary_;  // temporary_ is empty as long as the file has no name
  Options options_;
  int fd_ = -1;
};

}  // namespace quipu::gguf
