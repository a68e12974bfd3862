// Values as JSON, as encoding/json writes them: compact, keys of maps sorted, <, > and & escaped.
//
// Threads: as the values.
#pragma once

#include <string>

#include "chat/go/budget.h"
#include "chat/go/value.h"

namespace quipu::gotmpl {

// Empty for what JSON does not have: complex numbers.
std::string json_of(const Value& value, Budget& budget);

// What the String method of its type gives, for types whose text form is not plain.
std::string own_text(const Value& value, Budget& budget);

}  // namespace quipu::gotmpl
