// Searching in text, in time that the budget sees and that stays linear for hostile patterns.
//
// Threads: pure functions.
#pragma once

#include <string>
#include <string_view>

#include "chat/jinja/value.h"

namespace quipu::jinja {

size_t find_text(Budget& budget, std::string_view text, std::string_view what, size_t from);
size_t rfind_text(Budget& budget, std::string_view text, std::string_view what);
std::string reversed_bytes(Budget& budget, std::string_view text);
// Occurrences that do not overlap; of the empty text one at every character and one at the end.
size_t count_text(Budget& budget, std::string_view text, std::string_view what);
// The first n of them replaced, all if n is negative.
std::string replace_text(Budget& budget, std::string_view text, std::string_view what, std::string_view by,
                         Int n);

}  // namespace quipu::jinja
