#include "store/gguf_header.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <limits>
#include <utility>

#include "base/checked.h"
#include "base/system_error.h"

namespace quipu::store {

namespace {

// A vocabulary of a million words and its merges take some 50 MB.
constexpr uint64_t kMostHeaderBytes = uint64_t{512} << 20;
constexpr uint64_t kFirstBytes = uint64_t{1} << 20;
constexpr std::string_view kMagic = "GGUF";

class Descriptor {
 public:
  explicit Descriptor(const std::string& path)
      : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

// Appends to `bytes` until it has `wanted`, or all there are.
bool read_up_to(int fd, uint64_t wanted, std::vector<std::byte>& bytes) {
  size_t have = bytes.size();
  bytes.resize(static_cast<size_t>(wanted));
  while (have < bytes.size()) {
    const ssize_t n = ::read(fd, bytes.data() + have, bytes.size() - have);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    if (n == 0) break;
    have += static_cast<size_t>(n);
  }
  bytes.resize(have);
  return true;
}

}  // namespace

int64_t block_of(std::string_view name) {
  constexpr std::string_view kPrefix = "blk.";
  int64_t number = -1;
  if (name.starts_with(kPrefix))
    std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), number);
  return number;
}

std::vector<const gguf::Tensor*> in_block_order(const gguf::File& file) {
  std::vector<std::pair<int64_t, const gguf::Tensor*>> keyed;
  for (const gguf::Tensor& tensor : file.tensors()) keyed.emplace_back(block_of(tensor.name), &tensor);
  std::ranges::sort(keyed, [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first < b.first : a.second->name < b.second->name;
  });
  std::vector<const gguf::Tensor*> order;
  for (const auto& [block, tensor] : keyed) order.push_back(tensor);
  return order;
}

std::optional<uint64_t> tensor_bytes(const gguf::Tensor& tensor) {
  std::optional<uint64_t> bytes = row_bytes(tensor.type, tensor.shape[0]);
  for (size_t d = 1; d < 4 && bytes; ++d)
    bytes = checked_mul(*bytes, static_cast<uint64_t>(std::max<int64_t>(tensor.shape[d], 0)));
  return bytes;
}

// The data begins behind the tensor table, which ends behind the last tensor's record.
bool GgufHeader::locate_tensors() {
  const auto tensors = file_->tensors();
  if (tensors.empty()) return true;
  const gguf::Tensor& last = tensors.back();
  const auto* name_end = reinterpret_cast<const std::byte*>(last.name.data() + last.name.size());
  const uint64_t table_end =
      static_cast<uint64_t>(name_end - bytes_.data()) + 4 + 8 * static_cast<uint64_t>(last.n_dims) + 4 + 8;
  const auto declared = file_->uint("general.alignment");
  const uint64_t alignment = declared && *declared && **declared > 0 ? **declared : 32;
  std::optional<uint64_t> at = checked_round_up(table_end, alignment);
  for (const gguf::Tensor& tensor : tensors) {
    at = at ? checked_round_up(*at, alignment) : std::nullopt;
    const auto bytes = tensor_bytes(tensor);
    if (!at || !bytes) return false;
    tensor_offsets_.push_back(*at);
    at = checked_add(*at, *bytes);
  }
  expected_bytes_ = at.value_or(std::numeric_limits<uint64_t>::max());
  return at.has_value();
}

Result<GgufHeader> GgufHeader::read(const std::string& path) {
  const Descriptor fd(path);
  if (fd.get() < 0)
    return error(errno == ENOENT ? Code::kNotFound : Code::kIo, "open {}: {}", path, system_message(errno));
  struct stat info{};
  if (::fstat(fd.get(), &info) != 0) return error(Code::kIo, "stat {}: {}", path, system_message(errno));
  if (!S_ISREG(info.st_mode)) return error(Code::kCorrupt, "{} is no file", path);
  GgufHeader header;
  header.file_bytes_ = static_cast<uint64_t>(info.st_size);
  const uint64_t most = std::min(header.file_bytes_, kMostHeaderBytes);
  // How long a header is shows only at its end: more is read as long as it is not whole.
  for (uint64_t wanted = std::min(kFirstBytes, most);; wanted = std::min(4 * wanted, most)) {
    if (!read_up_to(fd.get(), wanted, header.bytes_))
      return error(Code::kIo, "read {}: {}", path, system_message(errno));
    auto file = gguf::File::parse(header.bytes_, {.require_tensor_data = false});
    if (file) {
      header.file_ = std::move(*file);
      if (!header.locate_tensors())
        return error(Code::kCorrupt, "{}: its tensors have more bytes than can be counted", path);
      return header;
    }
    const bool magic = header.bytes_.size() >= kMagic.size() &&
                       std::memcmp(header.bytes_.data(), kMagic.data(), kMagic.size()) == 0;
    if (!magic || file.error().code != Code::kCorrupt || header.bytes_.size() < wanted || wanted == most)
      return wrap(std::move(file).error(), path);
  }
}

bool looks_like_gguf(const std::string& path) {
  const Descriptor fd(path);
  std::vector<std::byte> bytes;
  return fd.get() >= 0 && read_up_to(fd.get(), kMagic.size(), bytes) && bytes.size() == kMagic.size() &&
         std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) == 0;
}

}  // namespace quipu::store
