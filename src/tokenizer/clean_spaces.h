// The clean-up of spaces that whole-sequence decoding does for some vocabularies.
#pragma once

#include <string>

namespace quipu {

// Takes out the space before ? ! . , and before 's 'm 're 've, and the spaces around a lone apostrophe.
void clean_spaces(std::string& text);

}  // namespace quipu
