#include "http/upload.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "http/socket.h"

namespace quipu::http {

Result<Upload> Upload::of_file(const std::string& path) {
  const auto file = std::make_shared<Fd>(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat facts{};
  if (!file->valid() || ::fstat(file->get(), &facts) != 0)
    return error(errno == ENOENT ? Code::kNotFound : Code::kIo, "cannot open '{}': {}", path,
                 system_message(errno));
  if (!S_ISREG(facts.st_mode)) return error(Code::kInvalidArgument, "'{}' is not a file", path);
  Upload upload;
  upload.bytes = static_cast<uint64_t>(facts.st_size);
  upload.read = [file, path](std::span<char> into) -> Result<size_t> {
    for (;;) {
      const ssize_t n = ::read(file->get(), into.data(), into.size());
      if (n > 0) return static_cast<size_t>(n);
      if (n == 0) return error(Code::kIo, "'{}' became shorter while it was sent", path);
      if (errno != EINTR) return error(Code::kIo, "cannot read '{}': {}", path, system_message(errno));
    }
  };
  return upload;
}

}  // namespace quipu::http
