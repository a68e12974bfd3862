#include "fleet/failure.h"

#include "base/json_members.h"

namespace quipu::fleet {
namespace {

constexpr Code kCodes[] = {Code::kInvalidArgument, Code::kNotFound, Code::kUnsupported, Code::kCorrupt,
                           Code::kOutOfMemory,     Code::kIo,       Code::kCancelled,   Code::kUnavailable};

}  // namespace

Failure failure_of(const Json& body, std::string_view otherwise) {
  Failure f(Error{Code::kInternal, std::string(otherwise), {}});
  if (!body.is_object()) return f;
  if (std::string sentence = text_at(body, "error"); !sentence.empty()) f.message = std::move(sentence);
  const std::string name = text_at(body, "code");
  for (const Code code : kCodes)
    if (name == code_name(code)) f.code = code;
  if (const auto plan = body.find("plan"); plan != body.end() && plan->is_object()) f.plan = *plan;
  f.table = text_at(body, "table");
  return f;
}

}  // namespace quipu::fleet
