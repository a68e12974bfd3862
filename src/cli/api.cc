#include "cli/api.h"

#include "cli/report.h"
#include "http/message.h"

namespace quipu::cli {

namespace {

Code code_of(int status) {
  switch (status) {
    case 400:
      return Code::kInvalidArgument;
    case 404:
      return Code::kNotFound;
    case 501:
      return Code::kUnsupported;
    case 503:
      return Code::kUnavailable;
    case 507:
      return Code::kOutOfMemory;
    default:
      return Code::kInternal;
  }
}

// The table of the plan that did not fit: as the server made it, else made from its numbers.
std::string table_of(const Json& body) {
  const Json& ours = body.contains("quipu") ? field_of(body, "quipu") : body;
  std::string table = text_of(ours, "table");
  if (table.empty()) table = plan_text(field_of(ours, "plan"));
  table.erase(table.find_last_not_of('\n') + 1);
  return table;
}

Error with_table(Error e, const Json& body) {
  const std::string table = body.is_object() ? table_of(body) : "";
  if (table.empty()) return e;
  e.code = Code::kOutOfMemory;
  e.message += "\n" + table;
  return e;
}

// What a server that is not ours may answer with: text, or a page.
std::string plain_body(std::string_view body) {
  const size_t first = body.find_first_not_of(" \t\r\n");
  if (first == body.npos) return {};
  body = body.substr(first, body.find_last_not_of(" \t\r\n") - first + 1);
  constexpr size_t kMost = 400;
  return body.size() > kMost || body.front() == '<' ? std::string() : std::string(body);
}

}  // namespace

Error refusal(int status, std::string_view body, bool in_stream) {
  const std::string status_line = fmt::format("{} {}", status, http::status_phrase(status));
  const Json parsed = parse_json(body);
  std::string said = text_of(parsed, "error");
  if (said.empty()) said = plain_body(body);
  if (said.empty()) return {code_of(status), fmt::format("the server answered {}", status_line), {}};
  return with_table({code_of(status), in_stream ? status_line + ": " + said : said, {}}, parsed);
}

Error failure_of(const Json& line, std::string_view otherwise) {
  Error e{Code::kInternal, text_of(line, "error"), {}};
  static constexpr std::pair<const char*, Code> kCodes[] = {{"invalid_argument", Code::kInvalidArgument},
                                                            {"not_found", Code::kNotFound},
                                                            {"unsupported", Code::kUnsupported},
                                                            {"corrupt", Code::kCorrupt},
                                                            {"out_of_memory", Code::kOutOfMemory},
                                                            {"io", Code::kIo},
                                                            {"cancelled", Code::kCancelled},
                                                            {"unavailable", Code::kUnavailable}};
  const std::string name = text_of(line, "code");
  for (const auto& [spelling, code] : kCodes)
    if (name == spelling) e.code = code;
  if (e.message.empty()) e.message = otherwise;
  return with_table(std::move(e), line);
}

}  // namespace quipu::cli
