// Conversions to numbers as Python's int(), float() and round() do them.
//
// Threads: as the values.
#pragma once

#include "chat/jinja/value.h"

namespace quipu::jinja {

class Interp;

Value int_of_number(const Value& value);  // int(value) of what is no text
Value int_of_text(Interp& interp, const Value& text, int base);
double float_of(Interp& interp, const Value& value);  // float(value)

// To so many decimal places, halves to even.
double round_decimal(double value, int places);
Int round_decimal(Int value, int places);

}  // namespace quipu::jinja
