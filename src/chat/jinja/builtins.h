// Filters, tests, methods and global functions: what each is called, which arguments it takes, and where it
// is.
//
// Threads: constant tables.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "chat/jinja/objects.h"
#include "chat/jinja/value.h"

namespace quipu::jinja {

class Interp;

// A function's parameters, written as in "value default_value= boolean= *": a name with '=' may be left out,
// '*' takes further positional arguments and "**" further named ones, a '/' in front makes all positional.
struct Signature {
  static constexpr size_t kMax = 8;

  constexpr Signature(const char* text) {  // NOLINT: written as text in tables
    const std::string_view all(text);
    size_t at = 0;
    while (at < all.size()) {
      const size_t end = all.find(' ', at) == std::string_view::npos ? all.size() : all.find(' ', at);
      std::string_view word = all.substr(at, end - at);
      at = end + 1;
      if (word == "/") {
        positional_only = true;
      } else if (word == "*") {
        star = true;
      } else if (word == "**") {
        star_star = true;
      } else {
        const bool optional = word.back() == '=';
        if (optional) word.remove_suffix(1);
        if (!optional) ++n_required;
        names[n++] = word;
      }
    }
  }

  std::array<std::string_view, kMax> names{};
  uint8_t n = 0, n_required = 0;
  bool positional_only = false, star = false, star_star = false;
};

// The arguments of one call by parameter; missing where not given.
struct Bound {
  std::array<Value, Signature::kMax> v;
  Args rest;

  const Value& operator[](size_t i) const { return v[i]; }
  bool has(size_t i) const { return !v[i].missing(); }
};

using Native = Value (*)(Interp& interp, Bound& args);

struct Builtin {
  std::string_view name;
  Signature signature;
  Native function;
};

// Null, if there is none of that name.
const Builtin* find_filter(std::string_view name);
const Builtin* find_test(std::string_view name);
const Builtin* find_global(std::string_view name);
// A method's first parameter is the object.
const Builtin* find_method(const Value& object, std::string_view name);

Bound bind_arguments(const Builtin& builtin, Args args);

// One table for each file of functions.
struct BuiltinTable {
  const Builtin* first;
  size_t n;
};
BuiltinTable tests();
BuiltinTable globals();
BuiltinTable text_filters();
BuiltinTable layout_filters();
BuiltinTable markup_filters();
BuiltinTable sequence_filters();
BuiltinTable selection_filters();
BuiltinTable number_filters();
BuiltinTable text_methods();
BuiltinTable text_search_methods();
BuiltinTable dict_methods();
BuiltinTable list_methods();
BuiltinTable tuple_methods();
BuiltinTable range_methods();
BuiltinTable int_methods();
BuiltinTable float_methods();
BuiltinTable markup_methods();
BuiltinTable loop_methods();
BuiltinTable cycler_methods();

}  // namespace quipu::jinja
