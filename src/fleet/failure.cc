#include "fleet/failure.h"

namespace quipu::fleet {
namespace {

constexpr Code kCodes[] = {Code::kInvalidArgument, Code::kNotFound, Code::kUnsupported, Code::kCorrupt,
                           Code::kOutOfMemory,     Code::kIo,       Code::kCancelled,   Code::kUnavailable};

std::string text_of(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : std::string();
}

}  // namespace

Failure failure_of(const Json& body, std::string_view otherwise) {
  Failure f(Error{Code::kInternal, std::string(otherwise), {}});
  if (!body.is_object()) return f;
  if (std::string sentence = text_of(body, "error"); !sentence.empty()) f.message = std::move(sentence);
  const std::string name = text_of(body, "code");
  for (const Code code : kCodes)
    if (name == code_name(code)) f.code = code;
  if (const auto plan = body.find("plan"); plan != body.end() && plan->is_object()) f.plan = *plan;
  f.table = text_of(body, "table");
  return f;
}

}  // namespace quipu::fleet
