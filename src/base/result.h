// Errors as values. Nothing throws across a folder's border; a function that can fail returns Result<T>.
#pragma once

#include <fmt/format.h>

#include <expected>
#include <string>
#include <utility>

namespace quipu {

enum class Code {
  kInvalidArgument,  // the caller's request is at fault (a flag, an option, a prompt)
  kNotFound,
  kUnsupported,  // well-formed, but not something this build can do
  kCorrupt,      // a file says something impossible
  kOutOfMemory,  // the budget or the machine cannot hold it
  kIo,
  kCancelled,
  kUnavailable,  // the other side is gone or not there yet
  kInternal,
};

const char* code_name(Code code);  // as protocols write it: "invalid_argument"

// One sentence a user can act on, and the field, tensor or file at fault (may be empty).
struct Error {
  Code code = Code::kInternal;
  std::string message;
  std::string subject;
};

template <class T = void>
using Result = std::expected<T, Error>;

// return error(Code::kCorrupt, "tensor '{}' ends after the file", name);
template <class... Args>
[[nodiscard]] std::unexpected<Error> error(Code code, fmt::format_string<Args...> format, Args&&... args) {
  return std::unexpected(Error{code, fmt::format(format, std::forward<Args>(args)...), {}});
}

// Puts "CONTEXT: " in front of an error's sentence.
[[nodiscard]] std::unexpected<Error> wrap(Error e, std::string_view context);

}  // namespace quipu

// QUIPU_TRY(expr): leaves the function with the error, if there is one.
// QUIPU_ASSIGN(auto x, expr): the value, or leaves with the error.
#define QUIPU_CONCAT_(a, b) a##b
#define QUIPU_CONCAT(a, b) QUIPU_CONCAT_(a, b)
#define QUIPU_TRY(expr)                                      \
  do {                                                       \
    if (auto quipu_try_ = (expr); !quipu_try_) [[unlikely]]  \
      return std::unexpected(std::move(quipu_try_).error()); \
  } while (0)
#define QUIPU_ASSIGN_(tmp, lhs, expr)               \
  auto tmp = (expr);                                \
  if (!tmp) [[unlikely]]                            \
    return std::unexpected(std::move(tmp).error()); \
  lhs = std::move(*tmp)
#define QUIPU_ASSIGN(lhs, expr) QUIPU_ASSIGN_(QUIPU_CONCAT(quipu_result_, __LINE__), lhs, expr)
