// UTF-8 by the letter of its definition: no overlong forms, no surrogates, nothing above U+10FFFF.
//
// Threads: pure functions.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace quipu {

struct Utf8Char {
  char32_t value;  // U+FFFD for what is no character
  size_t bytes;    // of what is no character: as many as could have begun one, at least 1
  bool valid;
};

// The character at the front of `text`, which is not empty.
Utf8Char decode_utf8(std::string_view text);

void append_code_point(std::string& out, char32_t c);

// The same text, with U+FFFD in place of each sequence that is no character.
std::string to_valid_utf8(std::string_view text);

}  // namespace quipu
