// Formatting as Python does it: the % operator, str.format(), format specifications, and strftime.
//
// Threads: as the values.
#pragma once

#include <string>
#include <string_view>

#include "chat/jinja/objects.h"
#include "chat/jinja/search.h"

namespace quipu::jinja {

// `format % arguments`; Markup escapes what it takes in.
Value format_percent(Interp& interp, const Value& format, const Value& arguments);

// format.format(*args); fields may lead on to attributes and items.
Value format_fields(Interp& interp, const Value& format, const Args& args);

// format(value, specification)
std::string format_value(Interp& interp, const Value& value, std::string_view specification);

// Numbers in the ways that both kinds of formats share.
struct NumberStyle {
  char type = 'g';  // d x X o b e E f F g G %
  int precision = -1;
  bool alternate = false;  // '#'
};
std::string float_digits(double magnitude, const NumberStyle& style);  // not negative; may be "inf" or "nan"
std::string integer_digits(unsigned __int128 magnitude, char type);

std::string format_time(Budget& budget, std::string_view format, int64_t unix_seconds);

}  // namespace quipu::jinja
