// eq, ne, lt, le, gt, ge: numbers of one kind, strings, booleans and nil compare; a signed and an unsigned
// integer do too.
//
// Threads: pure functions. All throw CallError.
#pragma once

#include <span>

#include "chat/go/functions.h"

namespace quipu::gotmpl {

Value equal(std::span<const Value> args, const CallContext& context);  // the first with any of the others
Value not_equal(std::span<const Value> args, const CallContext& context);
Value less(std::span<const Value> args, const CallContext& context);
Value less_or_equal(std::span<const Value> args, const CallContext& context);
Value greater(std::span<const Value> args, const CallContext& context);
Value greater_or_equal(std::span<const Value> args, const CallContext& context);

}  // namespace quipu::gotmpl
