#include "gguf/writer.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <unordered_set>
#include <utility>

#include "base/checked.h"
#include "base/function_ref.h"
#include "gguf/atomic_file.h"
#include "gguf/cursor.h"

namespace quipu::gguf {

namespace {

constexpr uint32_t kDefaultAlignment = 32;
constexpr uint32_t kMaxAlignment = 1 << 20;  // readers' limit
constexpr size_t kPieceBytes = size_t{1}
                               << 20;  // of generated data: large enough that a system call costs nothing

using Sink = FunctionRef<Result<void>(std::span<const std::byte>)>;

struct Declared {
  std::string name;
  TensorType type;
  std::vector<int64_t> shape;
  uint64_t bytes;
  std::span<const std::byte> data;
  Writer::Fill fill;  // if set, instead of `data`
};

class Bytes {
 public:
  template <class T>
  void put(T v) {
    append(&v, sizeof v);
  }
  void put_string(std::string_view s) {
    put<uint64_t>(s.size());
    append(s.data(), s.size());
  }
  void append(const void* p, size_t n) {
    const auto* b = static_cast<const std::byte*>(p);
    bytes_.insert(bytes_.end(), b, b + n);
  }
  void pad(uint64_t alignment) { bytes_.resize(round_up<uint64_t>(bytes_.size(), alignment)); }
  std::span<const std::byte> span() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

}  // namespace

struct Writer::Impl {
  uint32_t alignment;
  uint32_t step = kDefaultAlignment;  // the alignment, if it is a possible one
  Bytes metadata;
  uint64_t n_entries = 0;
  std::unordered_set<std::string> keys;
  std::string bad_key;  // the first key that may not be written, with the reason
  std::vector<Declared> tensors;
  std::unordered_set<std::string> names;
  uint64_t data_bytes = 0;

  Bytes& begin(std::string_view key, ValueType type) {
    if (bad_key.empty()) {
      if (key.empty()) bad_key = "a metadata key is empty";
      if (!keys.emplace(key).second) bad_key = fmt::format("metadata key '{}' was added twice", shown(key));
    }
    ++n_entries;
    metadata.put_string(key);
    metadata.put(static_cast<int32_t>(type));
    return metadata;
  }

  template <class T>
  void array(std::string_view key, ValueType element, std::span<const T> v) {
    Bytes& b = begin(key, ValueType::kArray);
    b.put(static_cast<int32_t>(element));
    b.put<uint64_t>(v.size());
    b.append(v.data(), v.size_bytes());
  }

  Result<void> declare(std::string_view name, TensorType type, std::span<const int64_t> shape,
                       std::optional<uint64_t> bytes, Declared tensor);
  Result<void> emit(Sink sink) const;
};

Writer::Writer(uint32_t alignment) : impl_(std::make_unique<Impl>()) {
  impl_->alignment = alignment;
  if (std::has_single_bit(alignment) && alignment <= kMaxAlignment) impl_->step = alignment;
  if (alignment != kDefaultAlignment) add_uint32("general.alignment", alignment);
}

Writer::~Writer() = default;

void Writer::add_uint32(std::string_view key, uint32_t v) { impl_->begin(key, ValueType::kU32).put(v); }
void Writer::add_int32(std::string_view key, int32_t v) { impl_->begin(key, ValueType::kI32).put(v); }
void Writer::add_uint64(std::string_view key, uint64_t v) { impl_->begin(key, ValueType::kU64).put(v); }
void Writer::add_float32(std::string_view key, float v) { impl_->begin(key, ValueType::kF32).put(v); }
void Writer::add_bool(std::string_view key, bool v) {
  impl_->begin(key, ValueType::kBool).put<uint8_t>(v ? 1 : 0);
}
void Writer::add_string(std::string_view key, std::string_view v) {
  impl_->begin(key, ValueType::kString).put_string(v);
}

void Writer::add_strings(std::string_view key, std::span<const std::string> v) {
  Bytes& b = impl_->begin(key, ValueType::kArray);
  b.put(static_cast<int32_t>(ValueType::kString));
  b.put<uint64_t>(v.size());
  for (const std::string& s : v) b.put_string(s);
}

void Writer::add_int32s(std::string_view key, std::span<const int32_t> v) {
  impl_->array(key, ValueType::kI32, v);
}
void Writer::add_float32s(std::string_view key, std::span<const float> v) {
  impl_->array(key, ValueType::kF32, v);
}

void Writer::add_entry(const Entry& e) {
  if (e.key == "general.alignment") return;
  Bytes& b = impl_->begin(e.key, e.type);
  const auto whole = [&e]<class T>(T) {
    return static_cast<T>(std::holds_alternative<int64_t>(e.value)
                              ? static_cast<uint64_t>(std::get<int64_t>(e.value))
                              : std::get<uint64_t>(e.value));
  };
  switch (e.type) {
    case ValueType::kU8:
    case ValueType::kI8:
      b.put(whole(uint8_t{}));
      break;
    case ValueType::kU16:
    case ValueType::kI16:
      b.put(whole(uint16_t{}));
      break;
    case ValueType::kU32:
    case ValueType::kI32:
      b.put(whole(uint32_t{}));
      break;
    case ValueType::kU64:
    case ValueType::kI64:
      b.put(whole(uint64_t{}));
      break;
    case ValueType::kF32:
      b.put(static_cast<float>(std::get<double>(e.value)));
      break;
    case ValueType::kF64:
      b.put(std::get<double>(e.value));
      break;
    case ValueType::kBool:
      b.put<uint8_t>(std::get<bool>(e.value) ? 1 : 0);
      break;
    case ValueType::kString:
      b.put_string(std::get<std::string_view>(e.value));
      break;
    case ValueType::kArray: {
      const auto& a = std::get<Array>(e.value);
      b.put(static_cast<int32_t>(a.element()));
      b.put<uint64_t>(a.size());
      b.append(a.raw().data(), a.raw().size());
      break;
    }
  }
}

Result<void> Writer::Impl::declare(std::string_view name, TensorType type, std::span<const int64_t> shape,
                                   std::optional<uint64_t> given, Declared tensor) {
  const auto bad = [&](std::string_view why) {
    return error(Code::kInvalidArgument, "tensor '{}' cannot be written: {}", shown(name), why);
  };
  if (name.size() > 63) return bad("its name is longer than 63 bytes");
  if (shape.size() > 4) return bad("it has more than 4 dimensions");
  if (type_info(type) == nullptr) return bad("its type is unknown");
  auto bytes = row_bytes(type, shape.empty() ? 1 : shape[0]);
  for (size_t d = 1; d < shape.size() && bytes; ++d) {
    if (shape[d] < 0) return bad("a dimension is negative");
    bytes = checked_mul(*bytes, static_cast<uint64_t>(shape[d]));
  }
  if (!bytes) return bad("its rows are no whole blocks, or it is too large");
  if (given && *given != *bytes) return bad(fmt::format("it has {} bytes; {} were given", *bytes, *given));
  const auto padded = checked_round_up<uint64_t>(*bytes, step);
  const auto total = padded ? checked_add(data_bytes, *padded) : std::nullopt;
  if (!total) return bad("it is too large");
  if (!names.emplace(name).second) return bad("there is one of this name already");
  data_bytes = *total;
  tensor.name = name;
  tensor.type = type;
  tensor.shape.assign(shape.begin(), shape.end());
  tensor.bytes = *bytes;
  tensors.push_back(std::move(tensor));
  return {};
}

Result<void> Writer::add_tensor(std::string_view name, TensorType type, std::span<const int64_t> shape,
                                std::span<const std::byte> data) {
  Declared t{};
  t.data = data;
  return impl_->declare(name, type, shape, data.size(), std::move(t));
}

Result<void> Writer::add_tensor(std::string_view name, TensorType type, std::span<const int64_t> shape,
                                Fill fill) {
  Declared t{};
  t.fill = std::move(fill);
  return impl_->declare(name, type, shape, std::nullopt, std::move(t));
}

Result<void> Writer::Impl::emit(Sink sink) const {
  Bytes head;
  head.append("GGUF", 4);
  head.put<uint32_t>(3);
  head.put<uint64_t>(tensors.size());
  head.put<uint64_t>(n_entries);
  head.append(metadata.span().data(), metadata.span().size());
  uint64_t offset = 0;
  for (const Declared& t : tensors) {
    head.put_string(t.name);
    head.put(static_cast<uint32_t>(t.shape.size()));
    for (const int64_t n : t.shape) head.put(n);
    head.put(static_cast<int32_t>(t.type));
    head.put(offset);
    offset += round_up<uint64_t>(t.bytes, step);
  }
  if (!tensors.empty()) head.pad(step);
  QUIPU_TRY(sink(head.span()));

  const std::vector<std::byte> zeros(step);
  std::vector<std::byte> piece;
  for (const Declared& t : tensors) {
    if (t.fill) {
      const auto block = static_cast<size_t>(type_info(t.type)->block_bytes);
      piece.resize(kPieceBytes / block * block);
      for (uint64_t at = 0; at < t.bytes; at += piece.size()) {
        const auto part = std::span(piece).first(std::min<uint64_t>(piece.size(), t.bytes - at));
        t.fill(at, part);
        QUIPU_TRY(sink(part));
      }
    } else {
      QUIPU_TRY(sink(t.data));
    }
    QUIPU_TRY(sink(std::span(zeros).first(round_up<uint64_t>(t.bytes, step) - t.bytes)));
  }
  return {};
}

Result<void> Writer::write(const std::string& path) const {
  if (!impl_->bad_key.empty())
    return error(Code::kInvalidArgument, "cannot write {}: {}", path, impl_->bad_key);
  if (impl_->step != impl_->alignment)
    return error(Code::kInvalidArgument, "cannot write {}: an alignment of {} is not possible", path,
                 impl_->alignment);
  QUIPU_ASSIGN(AtomicFile file, AtomicFile::create(path));
  QUIPU_TRY(impl_->emit([&file](std::span<const std::byte> b) { return file.append(b); }));
  return file.commit();
}

std::vector<std::byte> Writer::bytes() const {
  std::vector<std::byte> out;
  (void)impl_->emit([&out](std::span<const std::byte> b) -> Result<void> {
    out.insert(out.end(), b.begin(), b.end());
    return {};
  });
  return out;
}

}  // namespace quipu::gguf
