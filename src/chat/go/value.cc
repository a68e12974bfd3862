#include "chat/go/value.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "chat/go/budget.h"
#include "chat/json_depth.h"

namespace quipu::gotmpl {

struct Value::Object {
  virtual ~Object() = default;
};

struct Value::Text final : Object {
  Text(std::string text, Budget* budget) : bytes(std::move(text)), budget(budget) {
    if (budget != nullptr) budget->hold(bytes.size());
  }
  ~Text() override {
    if (budget != nullptr) budget->drop(bytes.size());
  }
  const std::string bytes;
  Budget* const budget;
};

struct Value::Elements final : Object {
  explicit Elements(std::vector<Value> v) : values(std::move(v)) {}
  const std::vector<Value> values;
};

struct Value::Entries final : Object {
  explicit Entries(std::vector<Entry> e) : sorted(std::move(e)) {}
  const std::vector<Entry> sorted;
};

Value Value::complex(std::complex<double> c) {
  Value v(&kComplexType, std::bit_cast<uint64_t>(c.real()));
  v.b_ = std::bit_cast<uint64_t>(c.imag());
  return v;
}

Value Value::string(std::string text) {
  Value v(&kStringType, 0);
  v.b_ = text.size();
  v.object_ = std::make_shared<const Text>(std::move(text), nullptr);
  return v;
}

Value Value::string(std::string text, Budget& budget) {
  Value v(&kStringType, 0);
  v.b_ = text.size();
  v.object_ = std::make_shared<const Text>(std::move(text), &budget);
  return v;
}

Value Value::list(const Type& type, std::vector<Value> elements, size_t capacity) {
  Value v(&type, 0);
  v.b_ = elements.size();
  v.c_ = std::max(capacity, elements.size());
  elements.resize(v.c_, zero(type.elem));
  v.object_ = std::make_shared<const Elements>(std::move(elements));
  return v;
}

Value Value::map(const Type& type, std::vector<Entry> entries) {
  if (!type.ordered_json)
    std::sort(entries.begin(), entries.end(),
              [](const Entry& a, const Entry& b) { return a.first < b.first; });
  Value v(&type, 0);
  v.object_ = std::make_shared<const Entries>(std::move(entries));
  return v;
}

Value Value::structure(const Type& type, std::vector<Value> fields) {
  Value v(&type, 0);
  v.object_ = std::make_shared<const Elements>(std::move(fields));
  return v;
}

Value Value::pointer(const Type& type, const Value& target) {
  Value v(&type, 0);
  v.object_ = target.object_;
  return v;
}

Value Value::zero(const Type* type) {
  if (type == nullptr) return Value().boxed();
  if (type->kind == Kind::kString) return string("");
  Value v(type, 0);
  if (type->kind == Kind::kStruct) {
    std::vector<Value> fields;
    for (const Field& f : type->fields) fields.push_back(zero(f.type));
    return structure(*type, std::move(fields));
  }
  return v;
}

namespace {

Value read_json(const nlohmann::ordered_json& json, bool integers, int depth) {
  using Type = nlohmann::ordered_json::value_t;
  if (depth > kMaxJsonDepth) fail("JSON is nested more than {} deep", kMaxJsonDepth);
  switch (json.type()) {
    case Type::boolean:
      return Value::boolean(json.get<bool>());
    case Type::number_integer:
      return integers ? Value::integer(json.get<int64_t>()) : Value::number(json.get<double>());
    case Type::number_unsigned:
      return integers && json.get<uint64_t>() <= INT64_MAX ? Value::integer(json.get<int64_t>())
                                                           : Value::number(json.get<double>());
    case Type::number_float:
      return Value::number(json.get<double>());
    case Type::string:
      return Value::string(json.get_ref<const std::string&>());
    case Type::array: {
      std::vector<Value> elements;
      elements.reserve(json.size());
      for (const auto& e : json) elements.push_back(read_json(e, integers, depth + 1).boxed());
      // Go's decoder appends one by one, so a list has room for a power of two.
      const size_t capacity = elements.empty() ? 0 : std::bit_ceil(elements.size());
      return Value::list(kAnyListType, std::move(elements), capacity);
    }
    case Type::object: {
      std::vector<Value::Entry> entries;
      entries.reserve(json.size());
      for (const auto& [key, e] : json.items())
        entries.emplace_back(key, read_json(e, integers, depth + 1).boxed());
      return Value::map(kAnyMapType, std::move(entries));
    }
    default:
      return {};
  }
}

}  // namespace

Value Value::of_json(const nlohmann::ordered_json& json, bool integers) {
  return read_json(json, integers, 0);
}

Value Value::boxed() const {
  Value v = *this;
  v.boxed_ = true;
  return v;
}

Value Value::unboxed() const {
  Value v = *this;
  v.boxed_ = false;
  return v;
}

bool Value::is_nil() const {
  switch (kind()) {
    case Kind::kInvalid:
      return true;
    case Kind::kInterface:
      return type_ == nullptr;
    case Kind::kSlice:
    case Kind::kMap:
    case Kind::kPointer:
      return object_ == nullptr;
    default:
      return false;
  }
}

std::string_view Value::as_string() const {
  return std::string_view(static_cast<const Text&>(*object_).bytes).substr(a_, b_);
}

size_t Value::size() const { return type_->kind == Kind::kMap ? entries().size() : b_; }

const Value& Value::element(size_t i) const { return static_cast<const Elements&>(*object_).values[a_ + i]; }

Value Value::slice(size_t begin, size_t end, size_t capacity_end) const {
  Value v = *this;
  v.a_ = a_ + begin;
  v.b_ = end - begin;
  v.c_ = type_->kind == Kind::kString ? 0 : capacity_end - begin;
  return v;
}

const std::vector<Value::Entry>& Value::entries() const {
  static const std::vector<Entry> kNone;
  return object_ == nullptr ? kNone : static_cast<const Entries&>(*object_).sorted;
}

const Value* Value::find(std::string_view key) const {
  const auto& all = entries();
  const auto it = std::lower_bound(all.begin(), all.end(), key,
                                   [](const Entry& e, std::string_view k) { return e.first < k; });
  return it != all.end() && it->first == key ? &it->second : nullptr;
}

const Value& Value::field(size_t i) const { return static_cast<const Elements&>(*object_).values[i]; }

Value Value::target() const {
  Value v = *this;
  v.type_ = type_->elem;
  return v;
}

Indirect indirect(Value value) {
  while (value.is(Kind::kPointer) || value.is(Kind::kInterface)) {
    if (value.is_nil()) return {std::move(value), true};
    value = value.is(Kind::kPointer) ? value.target() : value.unboxed();
  }
  return {std::move(value), false};
}

bool is_true(const Value& value) {
  const Value v = value.unboxed();
  switch (v.kind()) {
    case Kind::kBool:
    case Kind::kInt:
    case Kind::kUint:
      return v.as_uint() != 0;
    case Kind::kFloat:
      return v.as_float() != 0;
    case Kind::kComplex:
      return v.as_complex() != 0.0;
    case Kind::kString:
    case Kind::kSlice:
    case Kind::kMap:
      return v.size() > 0;
    case Kind::kStruct:
      return true;
    case Kind::kPointer:
      return !v.is_nil();
    case Kind::kInvalid:
    case Kind::kInterface:
      break;
  }
  return false;
}

}  // namespace quipu::gotmpl
