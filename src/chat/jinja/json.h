// JSON in both directions: the context that a caller gives, and tojson, which is Python's json.dumps.
//
// Threads: as the values.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "chat/jinja/value.h"

namespace quipu::jinja {

Value value_of_json(Heap& heap, const nlohmann::ordered_json& json);

struct JsonStyle {
  bool ensure_ascii = false;
  bool sort_keys = false;
  bool pretty = false;
  std::string indent;  // of one level, if pretty
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};
std::string to_json(Budget& budget, const Value& value, const JsonStyle& style);

}  // namespace quipu::jinja
