// UTF-8 as tokenizers see it: lenient when text comes in, strict when text goes out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace quipu {

struct CodePoint {
  char32_t value = 0;
  uint32_t length = 0;  // bytes; 0: the byte there does not begin a character
};

// The character at the front of `text` (not empty). Lenient, as the vocabularies' reference reads prompts:
// overlong forms count as the character they spell and surrogates pass; above U+10FFFF and bytes 0xF8.. are
// invalid.
CodePoint decode_lenient(std::string_view text);

// For text that normalise_utf8() returned, and cuts of it between characters: nothing is checked.
inline CodePoint decode_normalised(const char* p) {
  const auto b = [p](int i) { return static_cast<char32_t>(static_cast<unsigned char>(p[i])); };
  if (b(0) < 0x80) return {b(0), 1};
  if (b(0) < 0xE0) return {(b(0) & 0x1F) << 6 | (b(1) & 0x3F), 2};
  if (b(0) < 0xF0) return {(b(0) & 0x0F) << 12 | (b(1) & 0x3F) << 6 | (b(2) & 0x3F), 3};
  return {(b(0) & 0x07) << 18 | (b(1) & 0x3F) << 12 | (b(2) & 0x3F) << 6 | (b(3) & 0x3F), 4};
}

void append_utf8(std::string& out, char32_t c);

// The text with every invalid byte replaced by U+FFFD and overlong forms in their short form. Where nothing
// had to change that is `text` itself; else the result lies in `buffer`.
std::string_view normalise_utf8(std::string_view text, std::string& buffer);

}  // namespace quipu
