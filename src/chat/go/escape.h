// html, js and urlquery: text made safe for other languages. At most six bytes for each byte.
//
// Threads: pure functions.
#pragma once

#include <string>
#include <string_view>

#include "chat/go/value.h"

namespace quipu::gotmpl {

// What an action prints of a value, as a value to print: "<no value>" for none.
Value printable(const Value& value);

std::string escape_html(std::string_view text);
std::string escape_js(std::string_view text);
std::string escape_query(std::string_view text);

}  // namespace quipu::gotmpl
