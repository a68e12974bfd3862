// The alphabet in which byte-level vocabularies are written: each of the 256 bytes has a printable character
// of its own. Printable Latin-1 stands for itself; the other 68 bytes are, in order, U+0100, U+0101, ...
// (space is U+0120).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace quipu {

// The character of a byte, as UTF-8 (one or two bytes).
std::string_view letter_of_byte(uint8_t byte);

// The byte a character stands for, if it is one of the 256.
std::optional<uint8_t> byte_of_letter(char32_t letter);

// Appends a byte string as written in the alphabet.
void append_letters(std::string& out, std::string_view bytes);

// Appends the bytes that a vocabulary text stands for. A character outside the alphabet is written out as
// [UNK_BYTE_0x<its UTF-8 in hex><the whole text>], like the reference does, so that a damaged vocabulary
// shows.
void append_bytes(std::string& out, std::string_view letters);

}  // namespace quipu
