// From the source of a template to its trees.
//
// Threads: pure functions.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "chat/go/ast.h"

namespace quipu::gotmpl {

// The templates of one source by their names; the main one's is empty.
using Definitions = std::map<std::string, ListPtr, std::less<>>;

// Throws Failure: what is wrong, in Go's words and with the line.
Definitions parse_source(std::string_view source);

}  // namespace quipu::gotmpl
