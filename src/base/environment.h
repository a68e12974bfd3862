// Environment variables, read as Ollama reads its own: white space and quotes around a value do not count,
// and one that is empty counts as not set.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace quipu {

struct Variable {
  std::string name, value;

  // Off: 0, f, F, false, FALSE, False; also "off" and "no". Everything else is on.
  bool on() const;
  // kInvalidArgument names the variable, its value and what it may be.
  Result<int64_t> whole_number(int64_t least, int64_t most) const;
  // A Go duration ("1m30s") or a number of seconds, which may have a fraction; in nanoseconds, 0 or more.
  Result<int64_t> duration_ns() const;
  // The same where less than 0 means something: a keep-alive of -1 is for ever.
  Result<int64_t> signed_duration_ns() const;
};

// The first of these names that is set.
std::optional<Variable> environment(std::initializer_list<const char*> names);
std::optional<Variable> environment(const char* name);

}  // namespace quipu
