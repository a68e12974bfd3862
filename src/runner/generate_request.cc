#include "runner/generate_request.h"

#include <algorithm>
#include <array>

namespace quipu::runner {

namespace {

bool is_absent(const Json& v) { return v.is_null() || ((v.is_array() || v.is_object()) && v.empty()); }

// Until there are models that see.
Result<void> refuse_images(const Json& of) {
  const Json& images = field(of, "images");
  if (is_absent(images)) return {};
  return error(Code::kUnsupported, "images are not supported yet");
}

// As templates count on them: each with a function that has a name and arguments.
Result<Json> read_tool_calls(const Json& message) {
  const Json& array = field(message, "tool_calls");
  if (array.is_null() || (array.is_array() && array.empty())) return Json();
  if (!array.is_array()) return error(Code::kInvalidArgument, "\"tool_calls\" must be an array");
  Json calls = Json::array();
  for (const Json& call : array) {
    if (!call.is_object() || !field(call, "function").is_object())
      return error(Code::kInvalidArgument, "a tool call must be an object with a function");
    const Json& function = field(call, "function");
    QUIPU_ASSIGN(const std::string id, text_field(call, "id"));
    QUIPU_ASSIGN(std::string name, text_field(function, "name"));
    QUIPU_ASSIGN(const int64_t index, integer_field(function, "index", 0, INT32_MIN, INT32_MAX));
    const Json& arguments = field(function, "arguments");
    if (!arguments.is_null() && !arguments.is_object())
      return error(Code::kInvalidArgument, "the \"arguments\" of a tool call must be an object");
    Json& out = calls.emplace_back(Json::object());
    if (!id.empty()) out["id"] = id;
    out["function"] = {{"index", index},
                       {"name", std::move(name)},
                       {"arguments", arguments.is_null() ? Json::object() : arguments}};
  }
  return calls;
}

Result<std::vector<Message>> read_messages(const Json& body) {
  std::vector<Message> messages;
  const Json& array = field(body, "messages");
  if (array.is_null()) return messages;
  if (!array.is_array()) return error(Code::kInvalidArgument, "\"messages\" must be an array");
  for (const Json& m : array) {
    if (!m.is_object())
      return error(Code::kInvalidArgument, "a message must be an object with role and content");
    Message out;
    QUIPU_ASSIGN(out.role, text_field(m, "role"));
    QUIPU_ASSIGN(out.content, text_field(m, "content"));
    QUIPU_ASSIGN(out.thinking, text_field(m, "thinking"));
    QUIPU_ASSIGN(out.tool_calls, read_tool_calls(m));
    QUIPU_ASSIGN(out.tool_name, text_field(m, "tool_name"));
    QUIPU_ASSIGN(out.tool_call_id, text_field(m, "tool_call_id"));
    QUIPU_TRY(refuse_images(m));
    messages.push_back(std::move(out));
  }
  if (messages.empty()) return error(Code::kInvalidArgument, "\"messages\" is empty");
  return messages;
}

Result<Think> read_think(const Json& body) {
  const Json& v = field(body, "think");
  if (v.is_null()) return Think::absent();
  if (v.is_boolean()) return v.get<bool>() ? Think::yes() : Think::off();
  if (!v.is_string())
    return error(
        Code::kInvalidArgument,
        "think must be a boolean or string (\"high\", \"medium\", \"low\", \"max\", true, or false)");
  const auto& level = v.get_ref<const std::string&>();
  constexpr std::array<std::string_view, 4> kLevels = {"high", "medium", "low", "max"};
  if (std::find(kLevels.begin(), kLevels.end(), level) == kLevels.end())
    return error(
        Code::kInvalidArgument,
        "invalid think value: \"{}\" (must be \"high\", \"medium\", \"low\", \"max\", true, or false)",
        level);
  return Think::at(level);
}

Result<std::optional<TemplateText>> read_template(const Json& body) {
  const Json& v = field(body, "template");
  if (v.is_null()) return std::nullopt;
  TemplateText out;
  if (v.is_string()) {
    out.text = v.get<std::string>();
  } else if (v.is_object()) {
    QUIPU_ASSIGN(const std::string kind, text_field(v, "kind"));
    if (kind != "go" && kind != "jinja")
      return error(Code::kInvalidArgument, "the kind of a template is \"go\" or \"jinja\"");
    out.kind = kind == "go" ? TemplateKind::kGo : TemplateKind::kJinja;
    QUIPU_ASSIGN(out.text, text_field(v, "text"));
  } else {
    return error(Code::kInvalidArgument, "\"template\" must be a string, or an object with kind and text");
  }
  if (out.text.empty()) return std::nullopt;
  return out;
}

Result<GeneratePrompt> read_prompt(const Json& body, int64_t n_vocab) {
  GeneratePrompt p;
  QUIPU_ASSIGN(p.messages, read_messages(body));
  QUIPU_ASSIGN(p.prompt, text_field(body, "prompt"));
  QUIPU_ASSIGN(p.system, text_field(body, "system"));
  QUIPU_ASSIGN(p.suffix, text_field(body, "suffix"));
  QUIPU_ASSIGN(p.raw, flag_field(body, "raw", false));
  QUIPU_ASSIGN(p.chat_template, read_template(body));
  QUIPU_ASSIGN(p.think, read_think(body));
  QUIPU_ASSIGN(p.context, tokens_field(body, "context", n_vocab));
  QUIPU_ASSIGN(p.truncate, flag_field(body, "truncate", true));
  QUIPU_ASSIGN(p.drop_messages, flag_field(body, "drop_messages", p.truncate));
  QUIPU_TRY(refuse_images(body));
  const Json& tools = field(body, "tools");
  if (!tools.is_null() && !tools.is_array())
    return error(Code::kInvalidArgument, "\"tools\" must be an array");
  if (!is_absent(tools)) p.tools = tools;
  return p;
}

}  // namespace

Result<std::vector<Token>> tokens_field(const Json& object, const char* name, int64_t n_vocab) {
  std::vector<Token> ids;
  const Json& array = field(object, name);
  if (array.is_null()) return ids;
  if (!array.is_array()) return error(Code::kInvalidArgument, "\"{}\" must be an array of token ids", name);
  ids.reserve(array.size());
  for (const Json& id : array) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() >= static_cast<uint64_t>(n_vocab))
      return error(Code::kInvalidArgument, "\"{}\" must be token ids between 0 and {}", name, n_vocab - 1);
    ids.push_back(static_cast<Token>(id.get<uint64_t>()));
  }
  return ids;
}

Result<GenerateCall> read_generate(const Json& body, int64_t n_vocab, UnknownOptions& unknown) {
  GenerateCall call;
  QUIPU_ASSIGN(call.prompt, read_prompt(body, n_vocab));
  QUIPU_TRY(read_options(field(body, "options"), call.options, unknown));
  QUIPU_ASSIGN(call.options.shift, flag_field(body, "shift", true));
  QUIPU_ASSIGN(call.default_n_ctx, integer_field(body, "default_num_ctx", 0, 0, INT64_MAX));
  QUIPU_ASSIGN(call.return_context, flag_field(body, "return_context", false));
  QUIPU_ASSIGN(call.render_only, flag_field(body, "render_only", false));
  QUIPU_ASSIGN(const bool logprobs, flag_field(body, "logprobs", false));
  QUIPU_ASSIGN(const int64_t n_top, integer_field(body, "top_logprobs", 0, 0, 20));
  if (logprobs) call.options.top_logprobs = static_cast<int>(n_top);
  if (const Json& format = field(body, "format"); !format.is_null() && format != "")
    return error(Code::kUnsupported, "structured output (\"format\") is not supported yet");
  return call;
}

}  // namespace quipu::runner
