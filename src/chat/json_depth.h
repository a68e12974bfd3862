// How deeply JSON from a request may be nested before a template sees it. What copies, prints or frees it
// recurses.
//
// Threads: pure functions.
#pragma once

#include <algorithm>
#include <nlohmann/json.hpp>

namespace quipu {

inline constexpr int kMaxJsonDepth = 128;

inline bool nests_deeper(const nlohmann::ordered_json& json, int limit = kMaxJsonDepth) {
  if (!json.is_structured()) return false;
  return limit == 0 ||
         std::any_of(json.begin(), json.end(), [&](const auto& e) { return nests_deeper(e, limit - 1); });
}

}  // namespace quipu
