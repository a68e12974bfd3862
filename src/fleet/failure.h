// Why something could not be done by a runner: an error, and where memory is the reason the plan that shows
// it.
#pragma once

#include <expected>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace quipu::fleet {

using Json = nlohmann::ordered_json;

struct Failure : Error {
  Failure(Error e, Json plan = nullptr, std::string table = {})  // NOLINT: implicit on purpose
      : Error(std::move(e)), plan(std::move(plan)), table(std::move(table)) {}

  Json plan;          // {"memory","machine","fits":"no"}; null: none
  std::string table;  // the same for people, in lines
};

template <class T = void>
using Answer = std::expected<T, Failure>;

// return failure(Code::kInternal, "no more than {}", n);
template <class... Args>
[[nodiscard]] std::unexpected<Failure> failure(Code code, fmt::format_string<Args...> format,
                                               Args&&... args) {
  return std::unexpected<Failure>(Error{code, fmt::format(format, std::forward<Args>(args)...), {}});
}

// Of what a runner writes: {"error":"one sentence","code":"snake_case","plan"?,"table"?}. `otherwise` is the
// sentence where it has none.
Failure failure_of(const Json& body, std::string_view otherwise);

}  // namespace quipu::fleet
