#include "cli/runner_connection.h"

#include "cli/report.h"

namespace quipu::cli {

Error runner_error(const Json& body, std::string_view otherwise) {
  Error e{Code::kInternal, text_of(body, "error"), {}};
  static constexpr std::pair<const char*, Code> kCodes[] = {
      {"invalid_argument", Code::kInvalidArgument}, {"not_found", Code::kNotFound},
      {"unsupported", Code::kUnsupported},          {"corrupt", Code::kCorrupt},
      {"out_of_memory", Code::kOutOfMemory},        {"io", Code::kIo},
      {"cancelled", Code::kCancelled},              {"unavailable", Code::kUnavailable}};
  const std::string name = text_of(body, "code");
  for (const auto& [spelling, code] : kCodes)
    if (name == spelling) e.code = code;
  if (e.message.empty()) e.message = otherwise;
  return e;
}

}  // namespace quipu::cli
