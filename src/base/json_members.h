// Members of objects that somebody else wrote: what is missing or of another type is nothing, never an error.
//
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

namespace quipu {

// Null: there is none, or `object` is no object.
inline const nlohmann::ordered_json* member_at(const nlohmann::ordered_json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto it = object.find(key);
  return it != object.end() ? &*it : nullptr;
}

// Empty where it is none.
inline const nlohmann::ordered_json& object_at(const nlohmann::ordered_json& object, const char* key) {
  static const nlohmann::ordered_json kNone = nlohmann::ordered_json::object();
  const auto* value = member_at(object, key);
  return value != nullptr && value->is_object() ? *value : kNone;
}

inline std::string text_at(const nlohmann::ordered_json& object, const char* key) {
  const auto* value = member_at(object, key);
  return value != nullptr && value->is_string() ? value->get<std::string>() : std::string();
}

// A number of bytes; 0 where it is none.
inline uint64_t bytes_at(const nlohmann::ordered_json& object, const char* key) {
  const auto* value = member_at(object, key);
  return value != nullptr && value->is_number_unsigned() ? value->get<uint64_t>() : 0;
}

}  // namespace quipu
