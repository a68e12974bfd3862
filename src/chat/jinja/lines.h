// Text in lines.
//
// Threads: pure functions.
#pragma once

#include <string_view>
#include <vector>

#include "chat/jinja/budget.h"

namespace quipu::jinja {

// str.splitlines()
std::vector<std::string_view> split_lines(Budget& budget, std::string_view text, bool keep_ends);

// textwrap.wrap() of one paragraph, with tabs and white space left as they are.
std::vector<std::string> wrap_words(Budget& budget, std::string_view text, int width, bool break_long_words,
                                    bool break_on_hyphens);

}  // namespace quipu::jinja
