// HTML in text: character references, tags, links.
//
// Threads: pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "chat/jinja/budget.h"

namespace quipu::jinja {

std::string unescape_html(std::string_view text);
// Without tags and comments, white space as single spaces, references resolved.
std::string strip_tags(Budget& budget, std::string_view text);

struct LinkStyle {
  size_t limit = SIZE_MAX;  // characters of a link that are shown
  std::string rel, target;
  std::vector<std::string> extra_schemes;
};
// Links and addresses in (unescaped) text become <a> elements.
std::string link_urls(Budget& budget, std::string_view text, const LinkStyle& style);

}  // namespace quipu::jinja
