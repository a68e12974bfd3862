// How the interpreter leaves a parse or an execution that went wrong. Inside this folder that is an
// exception; Program::parse and Program::execute catch it at the border.
#pragma once

#include <fmt/format.h>

#include <string>
#include <utility>

namespace quipu::gotmpl {

// The whole message, with its place in the template, as Go would write it.
struct Failure {
  std::string message;
};

// What a function has to say of its arguments; whoever calls it adds the place.
struct CallError {
  std::string message;
};

template <class... A>
[[noreturn]] void fail(fmt::format_string<A...> format, A&&... args) {
  throw Failure{fmt::format(format, std::forward<A>(args)...)};
}

template <class... A>
[[noreturn]] void fail_call(fmt::format_string<A...> format, A&&... args) {
  throw CallError{fmt::format(format, std::forward<A>(args)...)};
}

}  // namespace quipu::gotmpl
