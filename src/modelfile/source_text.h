// The characters of a file that is UTF-8 or says with a byte order mark that it is UTF-16.
#pragma once

#include <string>
#include <string_view>

namespace quipu::modelfile {

// Valid UTF-8 without the mark; U+FFFD stands for what is no character.
std::string decode_source(std::string_view bytes);

}  // namespace quipu::modelfile
