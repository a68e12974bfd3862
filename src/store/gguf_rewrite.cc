#include "store/gguf_rewrite.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <vector>

#include "base/system_error.h"
#include "gguf/writer.h"
#include "quant/codec.h"

namespace quipu::store {

namespace {

constexpr std::array<std::string_view, 3> kSplitKeys = {"split.no", "split.count", "split.tensors.count"};

// Reads the sources' bytes; keeps what went wrong, as the writer asks for data that it cannot refuse.
class Sources {
 public:
  explicit Sources(const RewriteOptions& options) : options_(options) {}
  ~Sources() {
    for (const int fd : files_) ::close(fd);
  }
  Sources(const Sources&) = delete;
  Sources& operator=(const Sources&) = delete;

  Result<int> open(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return error(Code::kIo, "open {}: {}", path, system_message(errno));
    files_.push_back(fd);
    return fd;
  }
  void expect(uint64_t bytes) { total_ += bytes; }

  // Zeros once something has failed.
  void read(int fd, uint64_t offset, std::span<std::byte> into) {
    while (!problem_ && !into.empty()) {
      const ssize_t n = ::pread(fd, into.data(), into.size(), static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) {
        problem_ = Error{Code::kIo, n < 0 ? system_message(errno) : "a source ended early", {}};
        break;
      }
      into = into.subspan(static_cast<size_t>(n));
      offset += static_cast<uint64_t>(n);
      done_ += static_cast<uint64_t>(n);
    }
    std::ranges::fill(into, std::byte{0});
    if (!problem_ && options_.progress && !options_.progress(done_, total_))
      problem_ = Error{Code::kCancelled, "cancelled", {}};
  }

  const std::optional<Error>& problem() const { return problem_; }

 private:
  const RewriteOptions& options_;
  std::vector<int> files_;
  uint64_t done_ = 0, total_ = 0;
  std::optional<Error> problem_;
};

// Elements of one type as another: what the writer asks for, piece by piece.
class Conversion {
 public:
  Conversion(Sources& sources, int fd, uint64_t offset, TensorType from, TensorType to)
      : sources_(&sources), fd_(fd), offset_(offset), from_(from), to_(to) {}

  void operator()(uint64_t at, std::span<std::byte> piece) const {
    if (from_ == to_) return sources_->read(fd_, offset_ + at, piece);
    const TypeInfo *to = type_info(to_), *from = type_info(from_);
    const auto elements_of = [to](uint64_t bytes) {
      return bytes / static_cast<uint64_t>(to->block_bytes) * static_cast<uint64_t>(to->block_elems);
    };
    const uint64_t n = elements_of(piece.size());
    std::vector<std::byte> source(static_cast<size_t>(n) * static_cast<size_t>(from->block_bytes));
    sources_->read(fd_, offset_ + elements_of(at) * static_cast<uint64_t>(from->block_bytes), source);
    std::vector<float> values(static_cast<size_t>(n));
    decode_row(from_, source.data(), values.data(), static_cast<int64_t>(n));
    encode_row(to_, values.data(), piece.data(), static_cast<int64_t>(n));
  }

 private:
  Sources* sources_;
  int fd_;
  uint64_t offset_;
  TensorType from_, to_;
};

bool is_plain(TensorType type) {
  return type == TensorType::kF32 || type == TensorType::kF16 || type == TensorType::kBF16;
}

Result<void> add_tensors(const GgufPart& part, const RewriteOptions& options, Sources& sources,
                         gguf::Writer& writer) {
  QUIPU_ASSIGN(const int fd, sources.open(part.path));
  const auto tensors = part.header->file().tensors();
  for (size_t i = 0; i < tensors.size(); ++i) {
    const gguf::Tensor& tensor = tensors[i];
    const TensorType type = options.type_of ? options.type_of(tensor) : tensor.type;
    if (type != tensor.type && !(is_plain(tensor.type) && type_info(type)->computable))
      return error(Code::kUnsupported, "tensor '{}' cannot be converted from {} to {}", tensor.name,
                   type_name(tensor.type), type_name(type));
    sources.expect(tensor_bytes(tensor).value_or(0));
    const Conversion conversion(sources, fd, part.header->tensor_offsets()[i], tensor.type, type);
    QUIPU_TRY(writer.add_tensor(tensor.name, type,
                                std::span(tensor.shape).first(static_cast<size_t>(tensor.n_dims)),
                                gguf::Writer::Fill(conversion)));
  }
  return {};
}

}  // namespace

Result<void> rewrite_gguf(std::span<const GgufPart> parts, const RewriteOptions& options,
                          const std::string& path) {
  for (const GgufPart& part : parts)
    if (part.header->expected_bytes() > part.header->file_bytes())
      return error(Code::kCorrupt, "{} is incomplete: it has {} bytes and should have {}", part.path,
                   part.header->file_bytes(), part.header->expected_bytes());
  const gguf::File& first = parts.front().header->file();
  const auto alignment = first.uint("general.alignment");
  gguf::Writer writer(alignment && *alignment ? static_cast<uint32_t>(**alignment) : 32);
  for (const gguf::Entry& entry : first.entries()) {
    const bool replaced = options.file_type &&
                          (entry.key == "general.file_type" || entry.key == "general.quantization_version");
    if (!replaced && std::ranges::find(kSplitKeys, entry.key) == kSplitKeys.end()) writer.add_entry(entry);
  }
  if (options.file_type) {
    writer.add_uint32("general.quantization_version", 2);
    writer.add_uint32("general.file_type", *options.file_type);
  }
  Sources sources(options);
  for (const GgufPart& part : parts) QUIPU_TRY(add_tensors(part, options, sources, writer));
  const auto written = writer.write(path);
  if (!written) return written;
  if (sources.problem()) {
    ::unlink(path.c_str());
    return std::unexpected(*sources.problem());
  }
  return {};
}

}  // namespace quipu::store
