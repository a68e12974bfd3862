// Values as text, as Go's fmt package writes them: print, println and printf with all their verbs and flags.
//
// Threads: as the values.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "chat/go/budget.h"
#include "chat/go/value.h"

namespace quipu::gotmpl {

// What stands between % and the verb.
struct Flags {
  bool minus = false, plus = false, sharp = false, space = false, zero = false;
  bool plus_v = false;   // %+v: names of fields
  bool sharp_v = false;  // %#v: Go syntax
  bool has_width = false, has_precision = false;
  int width = 0, precision = 0;
};

class Printer {
 public:
  // Adds to `out`, which the budget bounds.
  Printer(std::string& out, Budget& budget) : out_(out), budget_(budget) {}

  // One value, as an interface that holds it. `verb`: 'v' is the usual form.
  void value(const Value& value, char32_t verb = 'v');

  void print(std::span<const Value> values);    // a space between two that are no strings
  void println(std::span<const Value> values);  // spaces between all, a newline at the end
  void printf(std::string_view format, std::span<const Value> values);

 private:
  void nested(const Value& value, char32_t verb, int depth);
  void compound(const Value& value, char32_t verb, int depth);
  void elements(const Value& value, char32_t verb, int depth);
  void structure(const Value& value, char32_t verb, int depth);
  void address(const Value& value, char32_t verb);
  bool own_text(const Value& value, char32_t verb);
  void bad_verb(const Value& value, char32_t verb);
  void bool_(const Value& value, char32_t verb);
  void integer(const Value& value, char32_t verb);
  void number(double d, const Value& value, char32_t verb);
  void complex(const Value& value, char32_t verb);
  void text(std::string_view s, const Value& value, char32_t verb);
  void extra(std::span<const Value> values);

  void add_integer(uint64_t magnitude, bool negative, int base, char32_t verb);
  void add_unicode(uint64_t code);
  void add_float(double d, char verb, int precision);
  void add_hex(std::string_view bytes, bool upper);
  void add(std::string_view s);
  void pad(std::string_view s);
  void fill(size_t n);

  std::string& out_;
  Budget& budget_;
  Flags flags_;
  bool in_error_ = false;  // types print plainly within a complaint
};

}  // namespace quipu::gotmpl
