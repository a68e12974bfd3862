// Metadata: keys and typed values.
#include <utility>

#include "gguf/parse.h"

namespace quipu::gguf {

namespace {

constexpr uint64_t kMaxArray = uint64_t{1} << 30;

// Of a value that has a fixed length; 0 for strings, arrays and unknown types.
uint64_t scalar_bytes(ValueType t) {
  switch (t) {
    case ValueType::kU8:
    case ValueType::kI8:
    case ValueType::kBool:
      return 1;
    case ValueType::kU16:
    case ValueType::kI16:
      return 2;
    case ValueType::kU32:
    case ValueType::kI32:
    case ValueType::kF32:
      return 4;
    case ValueType::kU64:
    case ValueType::kI64:
    case ValueType::kF64:
      return 8;
    default:
      return 0;
  }
}

template <class T, class As>
Result<Value> parse_scalar(Cursor& c, const Place& place) {
  QUIPU_ASSIGN(const T v, c.read<T>(place));
  return Value(static_cast<As>(v));
}

Result<Value> parse_array(Cursor& c, const Place& place) {
  QUIPU_ASSIGN(const int32_t id, c.read<int32_t>(place));
  QUIPU_ASSIGN(const uint64_t count, c.read<uint64_t>(place));
  const auto type = static_cast<ValueType>(id);
  if (type == ValueType::kArray)
    return error(Code::kCorrupt, "metadata key '{}' is an array of arrays", shown(place.name));
  const uint64_t least = type == ValueType::kString ? sizeof(uint64_t) : scalar_bytes(type);
  if (least == 0)
    return error(Code::kCorrupt, "metadata key '{}' is an array of the unknown type {}", shown(place.name),
                 id);
  if (count > kMaxArray)
    return error(Code::kCorrupt, "metadata key '{}' is an array of {} elements; {} is the limit",
                 shown(place.name), count, kMaxArray);
  if (count > c.remaining() / least)
    return error(Code::kCorrupt,
                 "metadata key '{}' is an array of {} elements, but only {} bytes of the file are left",
                 shown(place.name), count, c.remaining());
  if (type != ValueType::kString) {
    QUIPU_ASSIGN(const auto bytes, c.take(count * least, place));
    return Value(Array(type, count, bytes));
  }
  Cursor start = c;
  for (uint64_t i = 0; i < count; ++i) QUIPU_TRY(c.string(place));
  QUIPU_ASSIGN(const auto bytes, start.take(c.position() - start.position(), place));
  return Value(Array(type, count, bytes));
}

Result<Value> parse_value(Cursor& c, int32_t id, const Place& place) {
  switch (static_cast<ValueType>(id)) {
    case ValueType::kU8:
      return parse_scalar<uint8_t, uint64_t>(c, place);
    case ValueType::kI8:
      return parse_scalar<int8_t, int64_t>(c, place);
    case ValueType::kU16:
      return parse_scalar<uint16_t, uint64_t>(c, place);
    case ValueType::kI16:
      return parse_scalar<int16_t, int64_t>(c, place);
    case ValueType::kU32:
      return parse_scalar<uint32_t, uint64_t>(c, place);
    case ValueType::kI32:
      return parse_scalar<int32_t, int64_t>(c, place);
    case ValueType::kU64:
      return parse_scalar<uint64_t, uint64_t>(c, place);
    case ValueType::kI64:
      return parse_scalar<int64_t, int64_t>(c, place);
    case ValueType::kF32:
      return parse_scalar<float, double>(c, place);
    case ValueType::kF64:
      return parse_scalar<double, double>(c, place);
    case ValueType::kBool: {
      QUIPU_ASSIGN(const uint8_t v, c.read<uint8_t>(place));
      return Value(v != 0);
    }
    case ValueType::kString: {
      QUIPU_ASSIGN(const auto s, c.string(place));
      return Value(s);
    }
    case ValueType::kArray:
      return parse_array(c, place);
  }
  return error(Code::kCorrupt, "metadata key '{}' has the unknown type {}", shown(place.name), id);
}

}  // namespace

Result<std::vector<Entry>> parse_entries(Cursor& c, uint64_t n) {
  std::vector<Entry> entries;  // grows with what was read: the header's count may lie
  for (uint64_t i = 0; i < n; ++i) {
    QUIPU_ASSIGN(const auto key, c.string(Place{Place::Kind::kKey, i + 1, {}}));
    if (key.empty()) return error(Code::kCorrupt, "metadata key {} is empty", i + 1);
    const Place place{Place::Kind::kValue, i + 1, key};
    QUIPU_ASSIGN(const int32_t type, c.read<int32_t>(place));
    QUIPU_ASSIGN(Value value, parse_value(c, type, place));
    entries.push_back({key, static_cast<ValueType>(type), std::move(value)});
  }
  return entries;
}

}  // namespace quipu::gguf
