// What several filters share: getting at attributes by path, and sorting by keys.
//
// Threads: as Interp.
#pragma once

#include <string>
#include <vector>

#include "chat/jinja/interp.h"

namespace quipu::jinja {

// "a.b.0" as a way into a value; what is undefined on it becomes the default.
class AttributePath {
 public:
  AttributePath() = default;
  AttributePath(Interp& interp, const Value& attribute);
  Value get(Interp& interp, const Value& item, const Value& fallback = {}) const;

 private:
  std::vector<Value> parts_;
};

// A string in lower case, anything else as it is: how filters compare by default.
Value ignore_case(Heap& heap, const Value& value);

// The order that sorts the keys, stable; `reverse` keeps equal ones in their order too.
std::vector<size_t> sorted_order(Budget& budget, const std::vector<Value>& keys, bool reverse);

inline bool flag(const Bound& args, size_t i, bool fallback = false);

// A test or filter by name, called on a value.
Value call_named(Interp& interp, const Builtin* builtin, const Value& item, const Args& args);

}  // namespace quipu::jinja

#include "chat/jinja/ops.h"

namespace quipu::jinja {
inline bool flag(const Bound& args, size_t i, bool fallback) {
  return args.has(i) ? truth(args[i]) : fallback;
}
}  // namespace quipu::jinja
