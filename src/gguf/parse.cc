#include "gguf/parse.h"

#include <algorithm>
#include <bit>
#include <unordered_set>

#include "base/checked.h"
#include "gguf/cursor.h"

namespace quipu::gguf {

namespace {

constexpr uint32_t kDefaultAlignment = 32;
constexpr uint64_t kMaxAlignment = 1 << 20;
constexpr uint64_t kMaxArray = uint64_t{1} << 30;
constexpr uint64_t kLeastEntryBytes = 13;   // empty key, type, one byte
constexpr uint64_t kLeastTensorBytes = 24;  // empty name, no dimensions

// A key or name as it may be shown: bounded, and without control characters.
std::string shown(std::string_view s) {
  std::string out;
  for (char c : s.substr(0, 80)) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  return s.size() > 80 ? out + "..." : out;
}

uint64_t scalar_bytes(ValueType t) {
  switch (t) {
    case ValueType::kU8:
    case ValueType::kI8:
    case ValueType::kBool: return 1;
    case ValueType::kU16:
    case ValueType::kI16: return 2;
    case ValueType::kU32:
    case ValueType::kI32:
    case ValueType::kF32: return 4;
    case ValueType::kU64:
    case ValueType::kI64:
    case ValueType::kF64: return 8;
    default: return 0;
  }
}

template <class T, class As>
Result<Value> scalar(Cursor& c, std::string_view what) {
  QUIPU_ASSIGN(const T v, c.read<T>(what));
  return Value(static_cast<As>(v));
}

Result<Value> read_array(Cursor& c, std::string_view key) {
  QUIPU_ASSIGN(const int32_t raw, c.read<int32_t>(key));
  QUIPU_ASSIGN(const uint64_t count, c.read<uint64_t>(key));
  const auto type = static_cast<ValueType>(raw);
  if (type == ValueType::kArray) return error(Code::kCorrupt, "key '{}' is an array of arrays", key);
  if (raw < 0 || raw > static_cast<int32_t>(ValueType::kF64))
    return error(Code::kCorrupt, "key '{}' is an array of the unknown type {}", key, raw);
  const uint64_t least = type == ValueType::kString ? 8 : scalar_bytes(type);
  if (count > kMaxArray || count > c.remaining() / least)
    return error(Code::kCorrupt, "key '{}' claims an array of {} elements; {} bytes are left in the file", key, count,
                 c.remaining());
  if (type != ValueType::kString) {
    QUIPU_ASSIGN(const auto bytes, c.take(count * least, key));
    return Value(Array(type, count, bytes));
  }
  const Cursor start = c;
  for (uint64_t i = 0; i < count; ++i) QUIPU_TRY(c.string(key));
  Cursor again = start;
  QUIPU_ASSIGN(const auto bytes, again.take(c.position() - start.position(), key));
  return Value(Array(type, count, bytes));
}

Result<Value> read_value(Cursor& c, ValueType type, std::string_view key) {
  switch (type) {
    case ValueType::kU8: return scalar<uint8_t, uint64_t>(c, key);
    case ValueType::kI8: return scalar<int8_t, int64_t>(c, key);
    case ValueType::kU16: return scalar<uint16_t, uint64_t>(c, key);
    case ValueType::kI16: return scalar<int16_t, int64_t>(c, key);
    case ValueType::kU32: return scalar<uint32_t, uint64_t>(c, key);
    case ValueType::kI32: return scalar<int32_t, int64_t>(c, key);
    case ValueType::kU64: return scalar<uint64_t, uint64_t>(c, key);
    case ValueType::kI64: return scalar<int64_t, int64_t>(c, key);
    case ValueType::kF32: return scalar<float, double>(c, key);
    case ValueType::kF64: return scalar<double, double>(c, key);
    case ValueType::kBool: {
      QUIPU_ASSIGN(const uint8_t v, c.read<uint8_t>(key));
      return Value(v != 0);
    }
    case ValueType::kString: {
      QUIPU_ASSIGN(const auto s, c.string(key));
      return Value(s);
    }
    case ValueType::kArray: return read_array(c, key);
  }
  return error(Code::kCorrupt, "key '{}' has the unknown type {}", key, static_cast<int32_t>(type));
}

struct Header {
  uint64_t n_tensors = 0, n_entries = 0;
};

Result<Header> read_header(Cursor& c) {
  QUIPU_ASSIGN(const auto magic, c.take(4, "the header"));
  if (std::memcmp(magic.data(), "GGUF", 4) != 0)
    return error(Code::kCorrupt, "this is not a GGUF file (it does not begin with \"GGUF\")");
  QUIPU_ASSIGN(const uint32_t version, c.read<uint32_t>("the header"));
  if (version != 0 && (version & 0xffff) == 0)
    return error(Code::kUnsupported, "the file was written on a big-endian machine; it must be converted");
  if (version != 2 && version != 3)
    return error(Code::kUnsupported, "GGUF version {} is not supported (2 and 3 are)", version);
  Header h;
  QUIPU_ASSIGN(h.n_tensors, c.read<uint64_t>("the header"));
  QUIPU_ASSIGN(h.n_entries, c.read<uint64_t>("the header"));
  if (h.n_tensors > c.remaining() / kLeastTensorBytes)
    return error(Code::kCorrupt, "the header claims {} tensors; {} bytes are left in the file", h.n_tensors, c.remaining());
  if (h.n_entries > c.remaining() / kLeastEntryBytes)
    return error(Code::kCorrupt, "the header claims {} metadata keys; {} bytes are left in the file", h.n_entries,
                 c.remaining());
  return h;
}

Result<std::vector<Entry>> read_entries(Cursor& c, uint64_t n) {
  std::vector<Entry> entries;
  std::unordered_set<std::string_view> seen;
  for (uint64_t i = 0; i < n; ++i) {
    QUIPU_ASSIGN(const auto key, c.string(fmt::format("metadata key {} of {}", i + 1, n)));
    if (key.empty()) return error(Code::kCorrupt, "metadata key {} is empty", i + 1);
    const std::string name = shown(key);
    if (!seen.insert(key).second) return error(Code::kCorrupt, "the metadata key '{}' stands there twice", name);
    QUIPU_ASSIGN(const int32_t type, c.read<int32_t>(name));
    QUIPU_ASSIGN(Value value, read_value(c, static_cast<ValueType>(type), name));
    entries.push_back({key, static_cast<ValueType>(type), std::move(value)});
  }
  return entries;
}

Result<uint64_t> alignment_of(std::span<const Entry> entries) {
  for (const Entry& e : entries) {
    if (e.key != "general.alignment") continue;
    const auto* v = std::get_if<uint64_t>(&e.value);
    if (e.type != ValueType::kU32 || v == nullptr || !std::has_single_bit(*v) || *v > kMaxAlignment)
      return error(Code::kCorrupt, "general.alignment must be a 32-bit power of two of at most {}", kMaxAlignment);
    return *v;
  }
  return kDefaultAlignment;
}

struct TensorRecord {
  Tensor tensor;
  uint64_t offset = 0, bytes = 0;
};

Result<TensorRecord> read_tensor(Cursor& c, uint64_t number) {
  TensorRecord r;
  Tensor& t = r.tensor;
  const std::string which = fmt::format("tensor {}", number);
  QUIPU_ASSIGN(t.name, c.string(which));
  if (t.name.size() >= 64) return error(Code::kCorrupt, "the name of tensor {} has {} bytes; 63 are possible", number, t.name.size());
  const std::string name = shown(t.name);
  QUIPU_ASSIGN(const uint32_t n_dims, c.read<uint32_t>(which));
  if (n_dims > 4) return error(Code::kCorrupt, "tensor '{}' has {} dimensions; 4 are possible", name, n_dims);
  t.n_dims = static_cast<int>(n_dims);
  t.shape = {1, 1, 1, 1};
  int64_t elements = 1;
  for (uint32_t d = 0; d < n_dims; ++d) {
    QUIPU_ASSIGN(t.shape[d], c.read<int64_t>(which));
    if (t.shape[d] < 0) return error(Code::kCorrupt, "tensor '{}' has a dimension of {}", name, t.shape[d]);
    const auto product = checked_mul(elements, t.shape[d]);
    if (!product) return error(Code::kCorrupt, "tensor '{}' has more elements than can be counted", name);
    elements = *product;
  }
  QUIPU_ASSIGN(const int32_t type, c.read<int32_t>(which));
  QUIPU_ASSIGN(r.offset, c.read<uint64_t>(which));
  const TypeInfo* info = type_info(type);
  if (info == nullptr) return error(Code::kCorrupt, "tensor '{}' has the unknown type {}", name, type);
  t.type = static_cast<TensorType>(type);
  const auto row = row_bytes(t.type, t.shape[0]);
  if (!row)
    return error(Code::kCorrupt, "tensor '{}' has rows of {} values; {} is stored in blocks of {}", name, t.shape[0],
                 info->name, info->block_elems);
  uint64_t bytes = *row;
  for (size_t d = 1; d < 4; ++d) {
    const auto product = checked_mul(bytes, static_cast<uint64_t>(t.shape[d]));
    if (!product) return error(Code::kCorrupt, "tensor '{}' is larger than can be addressed", name);
    bytes = *product;
  }
  r.bytes = bytes;
  return r;
}

// Data must follow each other in the order of the table, each padded to the alignment.
Result<void> place(std::vector<TensorRecord>& records, std::span<const std::byte> bytes, uint64_t data_start,
                   uint64_t alignment, bool require_data) {
  uint64_t expected = 0;
  for (TensorRecord& r : records) {
    const std::string name = shown(r.tensor.name);
    if (r.offset != expected)
      return error(Code::kCorrupt, "tensor '{}' lies at offset {}; {} was expected", name, r.offset, expected);
    const auto end = checked_add(r.offset, r.bytes);
    const auto file_end = end ? checked_add(*end, data_start) : std::nullopt;
    const auto next = end ? checked_round_up(*end, alignment) : std::nullopt;
    if (!file_end || !next) return error(Code::kCorrupt, "tensor '{}' ends beyond what can be addressed", name);
    if (*file_end <= bytes.size())
      r.tensor.data = bytes.subspan(static_cast<size_t>(data_start + r.offset), static_cast<size_t>(r.bytes));
    else if (require_data)
      return error(Code::kCorrupt, "tensor '{}' ends at byte {}, but the file has {}: it is incomplete", name, *file_end,
                   bytes.size());
    expected = *next;
  }
  return {};
}

}  // namespace

Result<Parsed> parse_gguf(std::span<const std::byte> bytes, File::Options options) {
  Cursor c(bytes);
  QUIPU_ASSIGN(const Header header, read_header(c));
  Parsed parsed;
  QUIPU_ASSIGN(parsed.entries, read_entries(c, header.n_entries));
  QUIPU_ASSIGN(const uint64_t alignment, alignment_of(parsed.entries));
  std::vector<TensorRecord> records;
  std::unordered_set<std::string_view> names;
  for (uint64_t i = 0; i < header.n_tensors; ++i) {
    QUIPU_ASSIGN(TensorRecord r, read_tensor(c, i + 1));
    if (!names.insert(r.tensor.name).second)
      return error(Code::kCorrupt, "two tensors are named '{}'", shown(r.tensor.name));
    records.push_back(r);
  }
  const auto data_start = checked_round_up<uint64_t>(c.position(), alignment);
  if (!data_start) return error(Code::kCorrupt, "the header ends beyond what can be addressed");
  QUIPU_TRY(place(records, bytes, *data_start, alignment, options.require_tensor_data));
  for (const TensorRecord& r : records) parsed.tensors.push_back(r.tensor);
  return parsed;
}

}  // namespace quipu::gguf
