// Floating-point numbers as text, in the forms of Go's strconv.
//
// Threads: pure functions.
#pragma once

#include <string>

namespace quipu::gotmpl {

inline constexpr int kShortest = -1;

// `verb`: e E f g G x X b. `precision`: digits as the verb counts them; kShortest: as few as read back as the
// same number. Infinity and NaN are "+Inf", "-Inf", "NaN".
std::string format_float(double value, char verb, int precision);

// As encoding/json writes a number.
std::string json_number(double value);

}  // namespace quipu::gotmpl
