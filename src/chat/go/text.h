// UTF-8, classes of characters and quoting as Go has them. Any bytes are a string: what is not UTF-8 reads as
// U+FFFD, one byte at a time.
//
// Threads: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace quipu::gotmpl {

inline constexpr char32_t kReplacement = 0xfffd;
inline constexpr char32_t kMaxRune = 0x10ffff;

struct Rune {
  char32_t value;
  uint32_t width;  // in bytes; kReplacement with 1: an invalid byte
};

Rune decode_rune(std::string_view text);            // the first one; the text is not empty
Rune decode_last_rune(std::string_view text);       // the last one; the text is not empty
void append_rune(std::string& out, char32_t rune);  // U+FFFD for what is no character
size_t count_runes(std::string_view text);
inline bool is_valid_rune(char32_t r) { return r <= kMaxRune && (r < 0xd800 || r > 0xdfff); }
// Every invalid byte becomes U+FFFD.
std::string to_valid_utf8(std::string_view text);
// May the text be the beginning of a character that goes on?
bool is_rune_prefix(std::string_view text);

bool is_letter(char32_t r);
bool is_decimal_digit(char32_t r);
bool is_print(char32_t r);
bool is_space(char32_t r);

std::string to_lower(std::string_view text);
std::string_view trim_left(std::string_view text);
std::string_view trim(std::string_view text);

// As a Go literal between double quotes. `ascii`: everything else is escaped.
std::string quote(std::string_view text, bool ascii = false);
std::string quote_rune(char32_t r, bool ascii = false);
bool can_backquote(std::string_view text);
// "U+002D", and with `shown` "U+002D '-'" where the character can be printed.
std::string unicode_name(char32_t r, bool shown);

}  // namespace quipu::gotmpl
