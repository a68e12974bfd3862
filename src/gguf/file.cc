#include "gguf/file.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <unordered_map>

#include "base/checked.h"
#include "gguf/cursor.h"
#include "gguf/mapped_file.h"
#include "gguf/parse.h"
#include "gguf/split.h"

namespace quipu::gguf {

namespace {

template <class T>
T load(const std::byte* p) {
  T v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

// Calls f with every element of a numeric array, as its own type.
template <class F>
bool each_number(const Array& a, F&& f) {
  const std::byte* p = a.raw().data();
  const auto walk = [&]<class T>(T) {
    for (uint64_t i = 0; i < a.size(); ++i) f(load<T>(p + i * sizeof(T)));
    return true;
  };
  switch (a.element()) {
    case ValueType::kU8: return walk(uint8_t{});
    case ValueType::kI8: return walk(int8_t{});
    case ValueType::kU16: return walk(uint16_t{});
    case ValueType::kI16: return walk(int16_t{});
    case ValueType::kU32: return walk(uint32_t{});
    case ValueType::kI32: return walk(int32_t{});
    case ValueType::kU64: return walk(uint64_t{});
    case ValueType::kI64: return walk(int64_t{});
    case ValueType::kF32: return walk(float{});
    case ValueType::kF64: return walk(double{});
    default: return false;
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
      fits &= n.has_value();
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
  for (std::byte b : bytes_) out.push_back(b != std::byte{0});
  return out;
}

std::optional<std::vector<std::string_view>> Array::as_strings() const {
  if (element_ != ValueType::kString) return std::nullopt;
  std::vector<std::string_view> out;
  Cursor c(bytes_);
  for (uint64_t i = 0; i < count_; ++i) {
    auto s = c.string("an array of strings");
    if (!s) return std::nullopt;  // cannot be: the parser has walked it
    out.push_back(*s);
  }
  return out;
}

struct File::Impl {
  std::string path;
  std::vector<MappedFile> parts;  // empty for parse()
  Parsed parsed;
  std::unordered_map<std::string_view, const Entry*> by_key;
  std::unordered_map<std::string_view, const Tensor*> by_name;
  uint64_t bytes = 0;

  Result<void> index() {
    for (const Entry& e : parsed.entries) by_key.emplace(e.key, &e);
    for (const Tensor& t : parsed.tensors)
      if (!by_name.emplace(t.name, &t).second)
        return error(Code::kCorrupt, "{}: two parts hold a tensor named '{}'", path, t.name);
    return {};
  }
};

File::File(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
File::~File() = default;

Result<std::unique_ptr<File>> File::open(const std::string& path) { return open(path, Options{}); }

Result<std::unique_ptr<File>> File::open(const std::string& path, Options options) {
  auto impl = std::make_unique<Impl>();
  impl->path = path;
  QUIPU_ASSIGN(MappedFile first, MappedFile::open(path));
  auto parsed = parse_gguf(first.bytes(), options);
  if (!parsed) return wrap(std::move(parsed).error(), path);
  impl->parsed = std::move(*parsed);
  impl->bytes = first.bytes().size();
  impl->parts.push_back(std::move(first));
  QUIPU_TRY(add_split_parts(path, options, impl->parsed, impl->parts));
  for (size_t i = 1; i < impl->parts.size(); ++i) impl->bytes += impl->parts[i].bytes().size();
  QUIPU_TRY(impl->index());
  return std::unique_ptr<File>(new File(std::move(impl)));
}

Result<std::unique_ptr<File>> File::parse(std::span<const std::byte> bytes, Options options) {
  auto impl = std::make_unique<Impl>();
  impl->path = "(memory)";
  QUIPU_ASSIGN(impl->parsed, parse_gguf(bytes, options));
  impl->bytes = bytes.size();
  QUIPU_TRY(impl->index());
  return std::unique_ptr<File>(new File(std::move(impl)));
}

const std::string& File::path() const { return impl_->path; }

std::vector<std::string> File::paths() const {
  std::vector<std::string> out;
  for (const MappedFile& f : impl_->parts) {
    char* real = realpath(f.path().c_str(), nullptr);
    out.emplace_back(real != nullptr ? real : f.path().c_str());
    std::free(real);
  }
  return out;
}

std::string_view File::architecture() const {
  auto s = string("general.architecture");
  return s && *s ? **s : std::string_view();
}

std::span<const Entry> File::entries() const { return impl_->parsed.entries; }

const Entry* File::find(std::string_view key) const {
  const auto it = impl_->by_key.find(key);
  return it == impl_->by_key.end() ? nullptr : it->second;
}

Result<std::optional<int64_t>> File::integer(std::string_view key) const {
  const Entry* e = find(key);
  if (e == nullptr) return std::nullopt;
  if (const auto* v = std::get_if<int64_t>(&e->value)) return *v;
  if (const auto* v = std::get_if<uint64_t>(&e->value))
    if (const auto n = checked_cast<int64_t>(*v)) return *n;
  return error(Code::kCorrupt, "the metadata key '{}' must be an integer", key);
}

Result<std::optional<uint64_t>> File::uint(std::string_view key) const {
  const Entry* e = find(key);
  if (e == nullptr) return std::nullopt;
  if (const auto* v = std::get_if<uint64_t>(&e->value)) return *v;
  if (const auto* v = std::get_if<int64_t>(&e->value))
    if (*v >= 0) return static_cast<uint64_t>(*v);
  return error(Code::kCorrupt, "the metadata key '{}' must be an integer that is not negative", key);
}

Result<std::optional<double>> File::number(std::string_view key) const {
  const Entry* e = find(key);
  if (e == nullptr) return std::nullopt;
  if (const auto* v = std::get_if<double>(&e->value)) return *v;
  return error(Code::kCorrupt, "the metadata key '{}' must be a floating-point number", key);
}

Result<std::optional<bool>> File::boolean(std::string_view key) const {
  const Entry* e = find(key);
  if (e == nullptr) return std::nullopt;
  if (const auto* v = std::get_if<bool>(&e->value)) return *v;
  return error(Code::kCorrupt, "the metadata key '{}' must be true or false", key);
}

Result<std::optional<std::string_view>> File::string(std::string_view key) const {
  const Entry* e = find(key);
  if (e == nullptr) return std::nullopt;
  if (const auto* v = std::get_if<std::string_view>(&e->value)) return *v;
  return error(Code::kCorrupt, "the metadata key '{}' must be a string", key);
}

Result<std::optional<Array>> File::array(std::string_view key) const {
  const Entry* e = find(key);
  if (e == nullptr) return std::nullopt;
  if (const auto* v = std::get_if<Array>(&e->value)) return *v;
  return error(Code::kCorrupt, "the metadata key '{}' must be an array", key);
}

std::span<const Tensor> File::tensors() const { return impl_->parsed.tensors; }

const Tensor* File::tensor(std::string_view name) const {
  const auto it = impl_->by_name.find(name);
  return it == impl_->by_name.end() ? nullptr : it->second;
}

uint64_t File::mapped_bytes() const { return impl_->bytes; }

Result<void> File::populate() const {
  for (const MappedFile& f : impl_->parts) QUIPU_TRY(f.populate());
  return {};
}

}  // namespace quipu::gguf
