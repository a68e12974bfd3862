#include "chat/chat_template.h"

#include <ctime>
#include <utility>

#include "chat/json_depth.h"

namespace quipu {

namespace {

constexpr std::string_view kChatMl =
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

// The seconds that a clock on the wall here has counted since 1970.
int64_t local_seconds(int64_t unix_seconds) {
  const auto now = static_cast<std::time_t>(unix_seconds);
  std::tm local{};
  return localtime_r(&now, &local) == nullptr ? unix_seconds : unix_seconds + local.tm_gmtoff;
}

using Json = nlohmann::ordered_json;

// A call of a tool as templates from Hugging Face expect it: its type is said, its place in the answer is
// not.
Json tool_call(const Json& call) {
  if (!call.is_object()) return call;
  Json out;
  if (const auto id = call.find("id"); id != call.end()) out["id"] = *id;
  out["type"] = "function";
  if (const auto function = call.find("function"); function != call.end()) {
    out["function"] = *function;
    if (function->is_object()) out["function"].erase("index");
  }
  return out;
}

// Fields that a message does not have are not there at all: templates ask `is defined`. Thinking goes by two
// names.
Json message_json(const Message& m) {
  Json out = {{"role", m.role}, {"content", m.content}};
  if (!m.thinking.empty()) {
    out["reasoning_content"] = m.thinking;
    out["thinking"] = m.thinking;
  }
  if (m.tool_calls.is_array() && !m.tool_calls.empty()) {
    Json& calls = out["tool_calls"] = Json::array();
    for (const Json& call : m.tool_calls) calls.push_back(tool_call(call));
  }
  if (!m.tool_name.empty()) {
    out["name"] = m.tool_name;
    out["tool_name"] = m.tool_name;
  }
  if (!m.tool_call_id.empty()) out["tool_call_id"] = m.tool_call_id;
  return out;
}

}  // namespace

Result<ChatTemplate> ChatTemplate::create(std::string source, std::string bos, std::string eos) {
  QUIPU_ASSIGN(jinja::Template parsed,
               jinja::Template::parse(source.empty() ? kChatMl : std::string_view(source)));
  return ChatTemplate(std::move(parsed), std::move(bos), std::move(eos));
}

Result<std::string> ChatTemplate::render(std::span<const Message> messages,
                                         const RenderOptions& options) const {
  for (const Message& m : messages)
    if (nests_deeper(m.tool_calls))
      return error(Code::kInvalidArgument, "\"tool_calls\" is nested too deeply");
  if (options.tools != nullptr && nests_deeper(*options.tools))
    return error(Code::kInvalidArgument, "\"tools\" is nested too deeply");
  // What templates are written for: tools and documents are there, and null.
  Json context;
  Json& list = context["messages"] = Json::array();
  for (const Message& m : messages) list.push_back(message_json(m));
  const bool has_tools = options.tools != nullptr && options.tools->is_array() && !options.tools->empty();
  context["tools"] = has_tools ? *options.tools : Json();
  context["documents"] = nullptr;
  context["add_generation_prompt"] = options.add_generation_prompt;
  context["bos_token"] = bos_;
  context["eos_token"] = eos_;
  if (options.think.given) context["enable_thinking"] = options.think.on;
  if (!options.think.level.empty()) context["reasoning_effort"] = options.think.level;
  return template_.render(context, local_seconds(options.now_unix), options.stop);
}

}  // namespace quipu
