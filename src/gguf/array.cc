// Whole-array conversions. Elements lie unaligned in the file.
#include <cstring>
#include <type_traits>

#include "base/checked.h"
#include "gguf/cursor.h"
#include "gguf/file.h"

namespace quipu::gguf {

namespace {

// Calls f with every element of a numeric array, as its own type; false if the array is not numeric.
template <class F>
bool each_number(const Array& a, F&& f) {
  const auto walk = [&]<class T>(T v) {
    for (uint64_t i = 0; i < a.size(); ++i) {
      std::memcpy(&v, a.raw().data() + i * sizeof v, sizeof v);
      f(v);
    }
    return true;
  };
  switch (a.element()) {
    case ValueType::kU8:
      return walk(uint8_t{});
    case ValueType::kI8:
      return walk(int8_t{});
    case ValueType::kU16:
      return walk(uint16_t{});
    case ValueType::kI16:
      return walk(int16_t{});
    case ValueType::kU32:
      return walk(uint32_t{});
    case ValueType::kI32:
      return walk(int32_t{});
    case ValueType::kU64:
      return walk(uint64_t{});
    case ValueType::kI64:
      return walk(int64_t{});
    case ValueType::kF32:
      return walk(float{});
    case ValueType::kF64:
      return walk(double{});
    default:
      return false;
  }
}

bool is_float(ValueType t) { return t == ValueType::kF32 || t == ValueType::kF64; }

}  // namespace

std::optional<std::vector<int64_t>> Array::as_ints() const {
  if (is_float(element_)) return std::nullopt;
  std::vector<int64_t> out;
  bool fits = true;
  const bool numeric = each_number(*this, [&](auto v) {
    if constexpr (std::is_integral_v<decltype(v)>) {
      const auto n = checked_cast<int64_t>(v);
      fits = fits && n.has_value();
      out.push_back(n.value_or(0));
    }
  });
  return numeric && fits ? std::optional(std::move(out)) : std::nullopt;
}

std::optional<std::vector<float>> Array::as_floats() const {
  std::vector<float> out;
  if (!is_float(element_) || !each_number(*this, [&](auto v) { out.push_back(static_cast<float>(v)); }))
    return std::nullopt;
  return out;
}

std::optional<std::vector<bool>> Array::as_bools() const {
  if (element_ != ValueType::kBool) return std::nullopt;
  std::vector<bool> out;
  for (const std::byte b : bytes_) out.push_back(b != std::byte{0});
  return out;
}

std::optional<std::vector<std::string_view>> Array::as_strings() const {
  if (element_ != ValueType::kString) return std::nullopt;
  std::vector<std::string_view> out;
  Cursor c(bytes_);
  for (uint64_t i = 0; i < count_; ++i) {
    auto s = c.string(Place{});
    if (!s) return std::nullopt;  // cannot be: the parser has walked the array
    out.push_back(*s);
  }
  return out;
}

}  // namespace quipu::gguf
