// JSON as requests and answers have it, and reading fields that may be missing or of another type.
//
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

namespace quipu::cli {

using Json = nlohmann::ordered_json;

// A field of an object, or the fallback where it is missing or of another type.
int64_t number_of(const Json& object, const char* key, int64_t fallback = 0);
std::string text_of(const Json& object, const char* key);
bool flag_of(const Json& object, const char* key);
// The field itself; a null where it is missing.
const Json& field_of(const Json& object, const std::string& key);

// Compact, on one line. What a terminal handed in may be no UTF-8, which JSON cannot hold: U+FFFD stands for
// it.
std::string dump(const Json& value);
// A discarded value where the text is no JSON.
Json parse_json(std::string_view text);

}  // namespace quipu::cli
