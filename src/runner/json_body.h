// A request's body as JSON, read so that hostile text costs no more than its own length.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

#include "base/result.h"

namespace quipu::runner {

// Objects keep the order of their keys: templates print what clients sent.
using Json = nlohmann::ordered_json;

// The object that `body` holds; kInvalidArgument for anything else. Of equal keys the last one counts.
// Nesting and the number of values are bounded, because a value takes many times the memory of the two bytes
// that can spell it.
Result<Json> parse_body(std::string_view body);

// Null where the object has no such field.
const Json& field(const Json& object, const char* name);
// A field of an object. Absent and null are the fallback; another type is an error that names the field.
Result<std::string> text_field(const Json& object, const char* name);
Result<bool> flag_field(const Json& object, const char* name, bool fallback);
// An integer between `least` and `most`.
Result<int64_t> integer_field(const Json& object, const char* name, int64_t fallback, int64_t least,
                              int64_t most);

// On one line. Bytes that are no UTF-8 (from a model file, say) become U+FFFD.
std::string dump(const Json& value);

}  // namespace quipu::runner
