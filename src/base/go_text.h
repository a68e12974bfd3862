// Text as Go sees it: what is printable, what is white space, how a string is quoted. Error messages and
// /api/show have it that way.
//
// Threads: pure functions.
#pragma once

#include <string>
#include <string_view>

namespace quipu {

// Letters, marks, numbers, punctuation, symbols, and the ASCII space.
bool is_go_printable(char32_t c);

// Without Unicode's white space at both ends.
std::string_view trim_white_space(std::string_view text);

// In double quotes, with Go's escapes.
std::string go_quote(std::string_view text);

}  // namespace quipu
