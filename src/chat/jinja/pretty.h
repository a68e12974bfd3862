// Python's pprint.pformat(): a repr in lines of at most 80 characters.
//
// Threads: as the values.
#pragma once

#include <string>

#include "chat/jinja/value.h"

namespace quipu::jinja {

std::string pretty_repr(Budget& budget, const Value& value);

}  // namespace quipu::jinja
