// Any bytes as a chat template and, behind a NUL, the JSON of what it is rendered with.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "chat/jinja.h"

namespace {

using quipu::Result;
using quipu::jinja::Limits;
using quipu::jinja::Template;
using Json = nlohmann::ordered_json;

// Small enough for many runs a second, large enough for anything a template does on purpose.
constexpr Limits kLimits{.max_steps = 100'000, .max_depth = 200, .max_output_bytes = 256 << 10};

void require(bool condition) {
  if (!condition) std::abort();
}

bool is_valid_utf8(const std::string& text) {
  try {
    (void)Json(text).dump();
    return true;
  } catch (const Json::exception&) {
    return false;
  }
}

Json default_context() {
  return Json::parse(
      R"({"messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "Größe <b>"},
      {"role": "assistant", "content": "yo", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": {"a": 1}}}]}],
      "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}],
      "documents": null, "add_generation_prompt": true, "bos_token": "<s>", "eos_token": "</s>",
      "xs": [3, 1, 2], "s": "Hello, World", "n": 7, "f": 2.5, "rows": [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]})");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t nul = input.find('\0');
  const Result<Template> parsed = Template::parse(input.substr(0, nul), kLimits);
  if (!parsed) {
    require(!parsed.error().message.empty());
    return 0;
  }
  Json context = nul == std::string_view::npos ? Json() : Json::parse(input.substr(nul + 1), nullptr, false);
  if (!context.is_object()) context = default_context();
  constexpr int64_t kNow = 1751619903;
  const Result<std::string> first = parsed->render(context, kNow);
  const Result<std::string> second = parsed->render(context, kNow);
  require(first.has_value() == second.has_value());
  if (first) {
    require(*first == *second && is_valid_utf8(*first));
    require(first->size() <= kLimits.max_output_bytes);
  } else {
    require(first.error().message == second.error().message && is_valid_utf8(first.error().message));
  }
  return 0;
}
