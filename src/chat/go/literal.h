// The literals of the template language: Go's numbers, characters and strings.
//
// Threads: pure functions.
#pragma once

#include <complex>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

namespace quipu::gotmpl {

struct Number {
  enum class Kind : uint8_t { kInt, kTooLarge /* fits only without a sign */, kFloat, kComplex };
  Kind kind = Kind::kInt;
  int64_t integer = 0;
  std::complex<double> value;  // of the other kinds
};

// What goes wrong is Go's message, without a place.
template <class T>
using Literal = std::expected<T, std::string>;

Literal<Number> parse_number(std::string_view text);
Literal<Number> parse_complex(std::string_view text);    // "1+2i"
Literal<Number> parse_character(std::string_view text);  // with its quotes
Literal<std::string> unquote(std::string_view text);     // with its quotes: "…" or `…`

}  // namespace quipu::gotmpl
