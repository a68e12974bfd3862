#include "gguf/file.h"

#include <cstdlib>
#include <utility>

#include "base/checked.h"
#include "gguf/mapped_file.h"
#include "gguf/parse.h"
#include "gguf/split.h"

namespace quipu::gguf {

struct File::Impl {
  std::string path;
  std::vector<MappedFile> parts;  // empty for parse()
  Parsed parsed;
  EntryIndex by_key;
  TensorIndex by_name;
  uint64_t bytes = 0;

  Result<void> index() {
    by_key = EntryIndex(parsed.entries);
    by_name = TensorIndex(parsed.tensors);
    if (const auto twice = by_name.first_duplicate())  // each part has been looked through by itself
      return error(Code::kCorrupt, "{}: two parts have a tensor named '{}'", path, shown(*twice));
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

const Entry* File::find(std::string_view key) const { return impl_->by_key.find(key); }

namespace {

const char* type_text(ValueType t) {
  switch (t) {
    case ValueType::kF32:
    case ValueType::kF64:
      return "a floating-point number";
    case ValueType::kBool:
      return "true or false";
    case ValueType::kString:
      return "a string";
    case ValueType::kArray:
      return "an array";
    default:
      return "an integer";
  }
}

std::unexpected<Error> wrong_type(const Entry& e, const char* wanted) {
  auto r = error(Code::kCorrupt, "metadata key '{}' is {}; it must be {}", shown(e.key), type_text(e.type),
                 wanted);
  r.error().subject = std::string(e.key);
  return r;
}

std::unexpected<Error> out_of_range(const Entry& e) {
  const std::string value = std::holds_alternative<int64_t>(e.value)
                                ? std::to_string(std::get<int64_t>(e.value))
                                : std::to_string(std::get<uint64_t>(e.value));
  auto r = error(Code::kCorrupt, "metadata key '{}' is {}, which is out of range", shown(e.key), value);
  r.error().subject = std::string(e.key);
  return r;
}

// The value of `key` as the alternative T of Value.
template <class T>
Result<std::optional<T>> typed(const File& file, std::string_view key, const char* wanted) {
  const Entry* e = file.find(key);
  if (e == nullptr) return std::nullopt;
  if (const T* v = std::get_if<T>(&e->value)) return *v;
  return wrong_type(*e, wanted);
}

}  // namespace

Result<std::optional<int64_t>> File::integer(std::string_view key) const {
  const Entry* e = find(key);
  if (e == nullptr) return std::nullopt;
  if (const auto* v = std::get_if<int64_t>(&e->value)) return *v;
  const auto* v = std::get_if<uint64_t>(&e->value);
  if (v == nullptr) return wrong_type(*e, "an integer");
  const auto n = checked_cast<int64_t>(*v);
  if (!n) return out_of_range(*e);
  return *n;
}

Result<std::optional<uint64_t>> File::uint(std::string_view key) const {
  const Entry* e = find(key);
  if (e == nullptr) return std::nullopt;
  if (const auto* v = std::get_if<uint64_t>(&e->value)) return *v;
  const auto* v = std::get_if<int64_t>(&e->value);
  if (v == nullptr) return wrong_type(*e, "an integer");
  if (*v < 0) return out_of_range(*e);
  return static_cast<uint64_t>(*v);
}

Result<std::optional<double>> File::number(std::string_view key) const {
  return typed<double>(*this, key, "a floating-point number");
}

Result<std::optional<bool>> File::boolean(std::string_view key) const {
  return typed<bool>(*this, key, "true or false");
}

Result<std::optional<std::string_view>> File::string(std::string_view key) const {
  return typed<std::string_view>(*this, key, "a string");
}

Result<std::optional<Array>> File::array(std::string_view key) const {
  return typed<Array>(*this, key, "an array");
}

std::span<const Tensor> File::tensors() const { return impl_->parsed.tensors; }

const Tensor* File::tensor(std::string_view name) const { return impl_->by_name.find(name); }

uint64_t File::mapped_bytes() const { return impl_->bytes; }

Result<void> File::populate() const {
  for (const MappedFile& f : impl_->parts) QUIPU_TRY(f.populate());
  return {};
}

}  // namespace quipu::gguf
