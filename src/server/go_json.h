// JSON as Go's encoder writes it, which clients of Ollama may compare byte for byte: compact, with <, >, &
// and the two line separators escaped inside strings. Spec: ollama-compat 1.1.
//
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace quipu::server {

using Json = nlohmann::ordered_json;

// Bytes that are not UTF-8 become U+FFFD. Numbers: integers as they are, floats in their shortest form.
std::string go_json(const Json& value);

void append_go_string(std::string& out, std::string_view text);  // with its quotes

// RFC 3339, the fraction without zeros at its end: "2026-11-23T22:40:08.6564Z".
std::string utc_time(int64_t unix_ns);
std::string local_time(int64_t unix_ns);  // with the local offset
int64_t now_unix_ns();

}  // namespace quipu::server
