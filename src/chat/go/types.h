// The types that values have. Templates can see them: in what may be done with a value, how it prints, what
// errors call it.
//
// Threads: constants.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace quipu::gotmpl {

enum class Kind : uint8_t {
  kInvalid,  // no value at all
  kBool,
  kInt,
  kUint,
  kFloat,
  kComplex,
  kString,
  kSlice,
  kMap,  // its keys are strings
  kStruct,
  kPointer,    // to a struct
  kInterface,  // a place for values of any type: an element of a list, a map or a struct
};

// How a value prints where its type has a String method of its own.
enum class TextForm : uint8_t {
  kPlain,       // it has none
  kJson,        // as JSON
  kJsonObject,  // as JSON, and {} for nil
  kTypeNames,   // a list of names: one stands alone, also in JSON
};

struct Field;

struct Type {
  Kind kind;
  std::string_view name;       // as errors and %T have it
  const Type* elem = nullptr;  // of slices, maps and pointers; null for values of any type
  std::span<const Field> fields = {};
  TextForm text = TextForm::kPlain;
  bool ordered_json = false;  // a map that JSON keeps in order
};

struct Field {
  std::string_view name;
  std::string_view json;
  const Type* type;         // null: a place for values of any type
  bool omit_empty = false;  // in JSON
};

inline constexpr Type kBoolType{Kind::kBool, "bool"};
inline constexpr Type kIntType{Kind::kInt, "int"};
inline constexpr Type kByteType{Kind::kUint, "uint8"};
inline constexpr Type kFloatType{Kind::kFloat, "float64"};
inline constexpr Type kComplexType{Kind::kComplex, "complex128"};
inline constexpr Type kStringType{Kind::kString, "string"};
inline constexpr Type kAnyListType{Kind::kSlice, "[]interface {}"};
inline constexpr Type kAnyMapType{Kind::kMap, "map[string]interface {}"};
inline constexpr Type kStringListType{Kind::kSlice, "[]string", &kStringType};

inline constexpr std::string_view kAnyName = "interface {}";

}  // namespace quipu::gotmpl
