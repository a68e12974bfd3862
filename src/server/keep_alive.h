// Two small fields of requests with a grammar of their own: keep_alive and think. Spec:
// ollama-compat 1.3.2, 1.3.3.
//
// Threads: pure functions.
#pragma once

#include <chrono>
#include <optional>

#include "base/result.h"
#include "server/json.h"

namespace quipu::server {

using KeepAlive = std::optional<std::chrono::nanoseconds>;  // negative: for ever

// `value` may be null (absent).
Result<KeepAlive> parse_keep_alive(const Json* value);

// null: not given; true, false or a level.
Result<Json> parse_think(const Json* value);

}  // namespace quipu::server
