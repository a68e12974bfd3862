// UTF-8 and the classes and cases of characters, as Python's str has them. Strings here are valid UTF-8.
//
// Threads: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace quipu::jinja {

// The same text, with every invalid sequence (lone surrogates too) replaced by U+FFFD.
std::string to_valid_utf8(std::string_view bytes);

inline size_t char_bytes(char first) {
  const auto b = static_cast<unsigned char>(first);
  return b < 0x80 ? 1 : b < 0xe0 ? 2 : b < 0xf0 ? 3 : 4;
}
inline bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

// The character at `at`, which moves behind it.
char32_t next_char(std::string_view text, size_t& at);
// The character before `at`, which moves to its start.
char32_t previous_char(std::string_view text, size_t& at);
void append_char(std::string& out, char32_t c);

size_t count_chars(std::string_view text);
// Where character number n begins; the end, if there are fewer.
size_t char_offset(std::string_view text, size_t n);

bool is_space(char32_t c);
bool is_alpha(char32_t c);
bool is_decimal(char32_t c);
int decimal_value(char32_t c);  // of a decimal digit of any script
bool is_digit(char32_t c);
bool is_numeric(char32_t c);
bool is_alnum(char32_t c);
bool is_lower(char32_t c);
bool is_upper(char32_t c);
bool is_title(char32_t c);
bool is_printable(char32_t c);
inline bool is_word(char32_t c) { return c == '_' || is_alnum(c); }
// May the text stand for a name in Python?
bool is_identifier(std::string_view text);

std::string to_upper(std::string_view text);
std::string to_lower(std::string_view text);
std::string to_title(std::string_view text);
std::string to_capitalized(std::string_view text);
std::string to_swapped_case(std::string_view text);
std::string to_folded_case(std::string_view text);

std::string_view trim_left(std::string_view text);
std::string_view trim_right(std::string_view text);
inline std::string_view trim(std::string_view text) { return trim_left(trim_right(text)); }

}  // namespace quipu::jinja
