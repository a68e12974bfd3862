// The values that templates compute with: Go's, as its reflect package shows them. They are made once and
// never change; what a template makes itself are texts, numbers and parts of lists.
//
// Threads: a value may be read by many; values that an execution made stay on its thread.
#pragma once

#include <bit>
#include <complex>
#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chat/go/types.h"

namespace quipu::gotmpl {

class Budget;

class Value {
 public:
  using Entry = std::pair<std::string, Value>;

  Value() = default;  // no value
  static Value boolean(bool b) { return {&kBoolType, b}; }
  static Value integer(int64_t i) { return {&kIntType, static_cast<uint64_t>(i)}; }
  static Value byte(uint8_t b) { return {&kByteType, b}; }
  static Value number(double d) { return {&kFloatType, std::bit_cast<uint64_t>(d)}; }
  static Value complex(std::complex<double> c);
  static Value string(std::string text);
  // A string that an execution made: the budget is told of it, and of its end.
  static Value string(std::string text, Budget& budget);
  // A slice may have room behind its end, which holds zeros: `capacity` elements in all.
  static Value list(const Type& type, std::vector<Value> elements, size_t capacity = 0);
  static Value map(const Type& type, std::vector<Entry> entries);  // every key once
  static Value structure(const Type& type, std::vector<Value> fields);
  static Value pointer(const Type& type, const Value& target);
  static Value nil(const Type& type) { return {&type, 0}; }  // a slice, a map or a pointer
  static Value zero(const Type* type);                       // null: the empty place for any value

  // JSON as encoding/json reads it into an interface: lists, maps, strings, float64. With `integers`, numbers
  // written without point and exponent are int. Deeper than kMaxJsonDepth: throws Failure.
  static Value of_json(const nlohmann::ordered_json& json, bool integers = false);

  // This value in a place for any value.
  Value boxed() const;
  // What lies in such a place; any other value is itself. An empty place gives no value.
  Value unboxed() const;

  bool valid() const { return type_ != nullptr || boxed_; }
  Kind kind() const { return boxed_ ? Kind::kInterface : type_ == nullptr ? Kind::kInvalid : type_->kind; }
  bool is(Kind k) const { return kind() == k; }
  std::string_view type_name() const { return boxed_ ? kAnyName : type_->name; }  // of a valid value
  const Type* type() const { return type_; }  // of what lies inside, if boxed
  bool is_nil() const;                        // of kinds that can be; true if there is no value

  // The rest is for values of the kind, not boxed.
  bool as_bool() const { return a_ != 0; }
  int64_t as_int() const { return static_cast<int64_t>(a_); }
  uint64_t as_uint() const { return a_; }
  double as_float() const { return std::bit_cast<double>(a_); }
  std::complex<double> as_complex() const { return {std::bit_cast<double>(a_), std::bit_cast<double>(b_)}; }
  std::string_view as_string() const;

  size_t size() const;  // bytes, elements, entries
  size_t capacity() const { return type_->kind == Kind::kString ? b_ : c_; }
  const Value& element(size_t i) const;
  Value slice(size_t begin, size_t end, size_t capacity_end) const;  // capacity_end: of slices
  const std::vector<Entry>& entries() const;                         // of a map, by key
  const Value* find(std::string_view key) const;
  const Value& field(size_t i) const;
  Value target() const;                                   // of a pointer that is not nil
  const void* identity() const { return object_.get(); }  // equal for copies of one pointer

 private:
  struct Object;
  struct Text;
  struct Elements;
  struct Entries;

  Value(const Type* type, uint64_t a) : type_(type), a_(a) {}

  const Type* type_ = nullptr;
  bool boxed_ = false;
  uint64_t a_ = 0, b_ = 0, c_ = 0;        // the scalar; or where a part begins, how long it is, its capacity
  std::shared_ptr<const Object> object_;  // null: nil
};

// Through pointers and places for values. `is_nil`: the way ended at one that holds nothing, which is the
// value.
struct Indirect {
  Value value;
  bool is_nil = false;
};
Indirect indirect(Value value);

// What if, and, or, not call true: what is not the zero of its type.
bool is_true(const Value& value);

}  // namespace quipu::gotmpl
