// JSON as Go's encoding/json writes it, byte for byte: Ollama's clients see it, and digests are made of it.
//
// Compact; <, >, &, U+2028 and U+2029 escaped; what is no UTF-8 becomes \ufffd; numbers in their shortest
// form. A nlohmann::json has its keys sorted as a Go map has them, an ordered_json keeps their order as a Go
// struct does.
//
// Threads: pure functions.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace quipu {

std::string go_json(const nlohmann::json& value);
std::string go_json(const nlohmann::ordered_json& value);

// With its quotes.
void append_go_json_string(std::string& out, std::string_view text);

// A number as JSON has it: 0.7, 1e+21, 100000. Not finite: null.
std::string go_json_number(double value);
// The same as Go's %v and %g print it: 1e+06, 0.7; NaN, +Inf.
std::string go_number(double value);
// The double with the decimal digits that a float needs: 0.1f becomes 0.1.
double shortest_double(float value);

}  // namespace quipu
