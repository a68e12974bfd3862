// index, slice and len.
//
// Threads: pure functions. All throw CallError.
#pragma once

#include <span>

#include "chat/go/functions.h"

namespace quipu::gotmpl {

Value index(std::span<const Value> args, const CallContext& context);  // x i j: x[i][j]
Value slice(std::span<const Value> args, const CallContext& context);  // x i j k: x[i:j:k]
Value length(std::span<const Value> args, const CallContext& context);

}  // namespace quipu::gotmpl
