// Any bytes as a Go template and, behind a NUL, the JSON of what it is executed with. The same bytes are a
// chat template for a conversation with everything in it.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "chat/go/text.h"
#include "chat/go_chat.h"

namespace {

using namespace quipu;
using gotmpl::Limits;
using gotmpl::Program;
using gotmpl::Value;
using Json = nlohmann::ordered_json;

// Small enough for many runs a second, large enough for anything a template does on purpose.
constexpr Limits kLimits{.max_steps = 100'000, .max_output_bytes = 256 << 10};
constexpr int64_t kNow = 1751619903;

void require(bool condition) {
  if (!condition) std::abort();
}

void check_error(const Error& e) {
  require(!e.message.empty() && gotmpl::to_valid_utf8(e.message) == e.message);
}

Json default_data() {
  return Json::parse(
      R"({"S": "Größe <b>&'\"", "N": 3, "F": 2.5, "T": true, "Nil": null, "E": "", "L": ["x", "y", "z"],
      "Nums": [3, 1, 2], "M": {"b": 2, "a": 1, "c": {"d": "deep"}}, "Rows": [{"k": 1, "v": "one"}, {"k": 2}]})");
}

void run_program(std::string_view source, const Json& json) {
  const auto program = Program::parse(source, kLimits);
  if (!program) return check_error(program.error());
  const Value data = Value::of_json(json, true);
  std::string first, second;
  const auto a = program->execute(data, kNow, first), b = program->execute(data, kNow, second);
  require(a.has_value() == b.has_value() && first == second && first.size() <= kLimits.max_output_bytes);
  if (!a) {
    check_error(a.error());
    require(a.error().message == b.error().message);
  }
}

void run_chat(std::string_view source) {
  const auto chat = GoTemplate::parse(source, kLimits);
  if (!chat) return check_error(chat.error());
  require(!chat->tool_tag().empty());
  std::vector<Message> messages = {{"system", "S"}, {"user", "[img] Größe"}, {"assistant", "yo", "hm"},
                                   {"tool", "4"},   {"user", "a"},           {"user", "b"}};
  messages[1].n_images = 2;
  messages[2].tool_calls =
      Json::parse(R"([{"id": "1", "function": {"name": "f", "arguments": {"b": [1], "a": "<"}}}])");
  messages[3].tool_name = "f";
  const Json tools = Json::parse(
      R"([{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "required": ["a"],
      "properties": {"a": {"type": ["string", "null"], "enum": ["x"]}, "o": {"properties": {"p": {"type": "array"}}}}}}}])");
  for (const Think& think : {Think::absent(), Think::at("high")}) {
    const auto prompt =
        render_go_chat(*chat, {.messages = messages, .tools = &tools, .think = think, .now_unix = kNow});
    if (!prompt) check_error(prompt.error());
  }
  const auto hole = render_go_chat(*chat, {.prompt = "a", .suffix = "b"});
  if (!hole) check_error(hole.error());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t nul = input.find('\0');
  Json json = nul == std::string_view::npos ? Json() : Json::parse(input.substr(nul + 1), nullptr, false);
  try {
    (void)Value::of_json(json);
  } catch (const gotmpl::Failure&) {
    json = Json();  // nested too deeply
  }
  run_program(input.substr(0, nul), json.is_object() ? json : default_data());
  run_chat(input.substr(0, nul));
  return 0;
}
