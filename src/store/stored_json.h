// JSON from a file in the store, which may come from anywhere.
//
// Threads: pure function.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

namespace quipu::store {

// As deep as a request may be nested: what prints, copies or compares a value recurses.
inline constexpr size_t kMostStoredNesting = 1'000;

// Discarded (is_discarded()) when it is no JSON or nested too deeply.
nlohmann::json parse_stored_json(std::string_view bytes);

}  // namespace quipu::store
