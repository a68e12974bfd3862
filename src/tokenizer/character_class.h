// The Unicode classes that splitting rules speak of.
#pragma once

#include <cstdint>

namespace quipu {

enum class CharacterClass : uint8_t { kOther, kLetter, kNumber, kSpace };  // the rest, \p{L}, \p{N}, \s

CharacterClass character_class(char32_t c);

}  // namespace quipu
