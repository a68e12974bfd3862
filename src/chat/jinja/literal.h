// Literals of a template, and the text forms of numbers that Python reads.
//
// Threads: pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "chat/jinja/value.h"

namespace quipu::jinja {

struct NumberSpan {
  size_t length = 0;
  bool is_float = false;
};

// The number literal at the start of `text`, which begins with a digit.
NumberSpan match_number(std::string_view text, bool may_be_float);
bool parse_integer_literal(std::string_view text, Int& out);  // false: beyond what an Int holds
double parse_float_literal(std::string_view text);

// What stands between the quotes. On a mistake false, and what it is.
bool decode_string_literal(std::string_view body, std::string& out, std::string_view& error);

// int(text, base) and float(text); nothing for what Python refuses. `overflow` is set for integers that are
// too large.
std::optional<Int> parse_int(std::string_view text, int base, bool& overflow);
std::optional<double> parse_float(std::string_view text);

}  // namespace quipu::jinja
