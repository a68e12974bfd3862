// How the interpreter leaves an evaluation that went wrong. Inside this folder that is an exception;
// Template::parse and Template::render catch it at the border.
#pragma once

#include <fmt/format.h>

#include <string>
#include <utility>

namespace quipu::jinja {

// The families of Python errors; some filters swallow some of them (`int` swallows kType and kValue).
enum class Fault {
  kSyntax,
  kType,
  kValue,
  kOverflow,
  kZeroDivision,
  kLookup,
  kUndefined,
  kSecurity,
  kRuntime,
  kRaised,  // raise_exception: the message is the template author's
  kLimit,   // steps, depth, memory: never swallowed
};

struct Failure {
  Fault fault;
  std::string message;
  int line = 0;  // 0: not known yet
};

template <class... A>
[[noreturn]] void fail(Fault fault, fmt::format_string<A...> format, A&&... args) {
  throw Failure{fault, fmt::format(format, std::forward<A>(args)...), 0};
}

}  // namespace quipu::jinja
