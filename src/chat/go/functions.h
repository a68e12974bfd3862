// The functions that templates may call: Go's own and those of chat templates (json, currentDate,
// yesterdayDate, toTypeScriptType). `and` and `or` are among them by name only: they do not always evaluate
// their arguments, so whoever evaluates does them.
//
// Threads: constants; calls belong to one execution.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "chat/go/budget.h"
#include "chat/go/value.h"

namespace quipu::gotmpl {

struct CallContext {
  Budget& budget;
  int64_t now_unix;             // seconds since 1970, UTC
  std::string_view first_name;  // how the first argument is written, for `call`
};

enum class Param : uint8_t {
  kValue,   // anything, seen as it is
  kAny,     // anything, out of its box
  kString,  // nothing else is accepted
};

struct Function {
  std::string_view name;
  size_t n_fixed;  // arguments that must be there
  bool variadic;   // and any number of further ones
  Param first, rest;
  // Throws CallError. Null: and, or.
  Value (*call)(std::span<const Value> args, const CallContext& context);
};

const Function* find_function(std::string_view name);
inline bool is_function(std::string_view name) { return find_function(name) != nullptr; }

}  // namespace quipu::gotmpl
