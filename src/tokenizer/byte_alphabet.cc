#include "tokenizer/byte_alphabet.h"

#include <fmt/format.h>

#include <array>

#include "tokenizer/utf8.h"

namespace quipu {

namespace {

constexpr bool stands_for_itself(unsigned b) {
  return (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
}

constexpr unsigned kFirstBorrowed = 0x100, kBorrowed = 68;

// A longer text is not repeated for each of its foreign characters: the output would grow with its square.
constexpr size_t kLongestRepeated = 512;

struct Alphabet {
  std::array<std::array<char, 2>, 256> utf8{};
  std::array<uint8_t, 256> length{};
  std::array<uint8_t, kBorrowed> borrowed{};  // the byte of U+0100 + index
};

constexpr Alphabet make_alphabet() {
  Alphabet a;
  unsigned n_borrowed = 0;
  for (unsigned b = 0; b < 256; ++b) {
    unsigned letter = b;
    if (!stands_for_itself(b)) {
      a.borrowed[n_borrowed] = static_cast<uint8_t>(b);
      letter = kFirstBorrowed + n_borrowed++;
    }
    if (letter < 0x80) {
      a.utf8[b][0] = static_cast<char>(letter);
      a.length[b] = 1;
    } else {
      a.utf8[b][0] = static_cast<char>(0xC0 | letter >> 6);
      a.utf8[b][1] = static_cast<char>(0x80 | (letter & 0x3F));
      a.length[b] = 2;
    }
  }
  return a;
}

constexpr Alphabet kAlphabet = make_alphabet();

}  // namespace

std::string_view letter_of_byte(uint8_t byte) {
  return {kAlphabet.utf8[byte].data(), kAlphabet.length[byte]};
}

std::optional<uint8_t> byte_of_letter(char32_t letter) {
  if (letter < 0x100) {
    if (!stands_for_itself(letter)) return std::nullopt;
    return static_cast<uint8_t>(letter);
  }
  if (letter - kFirstBorrowed >= kBorrowed) return std::nullopt;
  return kAlphabet.borrowed[letter - kFirstBorrowed];
}

void append_letters(std::string& out, std::string_view bytes) {
  for (const char c : bytes) out.append(letter_of_byte(static_cast<uint8_t>(c)));
}

void append_bytes(std::string& out, std::string_view letters) {
  for (size_t at = 0; at < letters.size();) {
    CodePoint c = decode_lenient(letters.substr(at));
    if (c.length == 0) c = {0xFFFD, 1};
    at += c.length;
    if (const auto byte = byte_of_letter(c.value)) {
      out.push_back(static_cast<char>(*byte));
      continue;
    }
    std::string utf8;
    append_utf8(utf8, c.value);
    out += "[UNK_BYTE_0x";
    for (const char b : utf8) out += fmt::format("{:02x}", static_cast<unsigned char>(b));
    if (letters.size() <= kLongestRepeated) out += letters;
    out += ']';
  }
}

}  // namespace quipu
