// Messages and tools as values of a Go template.
//
// Threads: pure functions.
#pragma once

#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "base/result.h"
#include "chat/go/value.h"
#include "chat/message.h"

namespace quipu {

// What the request has to have right (the type of a field, say) is kInvalidArgument and names the field. Of a
// tool's schema only what Ollama knows is kept: type, $defs, items, required, properties; of a property
// anyOf, type, items, description, enum, properties, required.
Result<gotmpl::Value> tools_value(const nlohmann::ordered_json* tools);  // null, or JSON's null: none

// A message, or several of one role put together: the first one's other fields count.
struct CollatedMessage {
  std::string role, content;
  const Message* first;
};
Result<gotmpl::Value> messages_value(std::span<const CollatedMessage> messages);

}  // namespace quipu
