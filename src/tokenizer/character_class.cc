#include "tokenizer/character_class.h"

#include <utf8proc.h>

#include <array>

namespace quipu {

namespace {

constexpr std::array<CharacterClass, 128> kAscii = [] {
  std::array<CharacterClass, 128> a{};
  for (unsigned c = 0; c < 128; ++c) {
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) a[c] = CharacterClass::kLetter;
    if (c >= '0' && c <= '9') a[c] = CharacterClass::kNumber;
    if (c == ' ' || (c >= '\t' && c <= '\r')) a[c] = CharacterClass::kSpace;
  }
  return a;
}();

constexpr char32_t kNextLine = 0x85;  // white space by the Unicode property, a control character by category

}  // namespace

CharacterClass character_class(char32_t c) {
  if (c < 0x80) return kAscii[c];
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return CharacterClass::kLetter;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return CharacterClass::kNumber;
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return CharacterClass::kSpace;
    default:
      return c == kNextLine ? CharacterClass::kSpace : CharacterClass::kOther;
  }
}

}  // namespace quipu
