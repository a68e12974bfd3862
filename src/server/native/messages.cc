#include "server/native/messages.h"

#include <algorithm>

#include "server/native/prepare.h"

namespace quipu::server::native {

namespace {

// Standard base64 with padding; line ends inside are passed over, as Go does.
Result<void> check_base64(std::string_view text) {
  const auto letter = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
  };
  size_t n = 0, padding = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\r' || c == '\n') continue;
    const bool pad = c == '=' && n % 4 >= 2;
    if ((!letter(c) && !pad) || (padding > 0 && !pad))
      return error(Code::kInvalidArgument, "illegal base64 data at input byte {}", i);
    if (pad) ++padding;
    ++n;
    if (padding > 0 && n % 4 == 0 && i + 1 < text.size() &&
        text.find_first_not_of("\r\n", i + 1) != text.npos)
      return error(Code::kInvalidArgument, "illegal base64 data at input byte {}", i + 1);
  }
  if (n % 4 != 0) return error(Code::kInvalidArgument, "illegal base64 data at input byte {}", text.size());
  return {};
}

Result<std::vector<std::string>> read_images(const Fields& f) {
  std::vector<std::string> images;
  QUIPU_ASSIGN(const Json* list, f.array("images", "[]api.ImageData"));
  if (list == nullptr) return images;
  for (const Json& image : *list) {
    if (image.is_null()) continue;
    if (!image.is_string()) return f.wrong_type(image, "images", "api.ImageData");
    QUIPU_TRY(check_base64(image.get_ref<const std::string&>()));
    images.push_back(image.get<std::string>());
  }
  return images;
}

// Where Go reads null, it leaves what was there: in a list, an empty element.
bool is_object_or_null(const Json& value) { return value.is_object() || value.is_null(); }

Result<Json> read_tool_call(const Json& value, const Fields& message) {
  if (!is_object_or_null(value)) return message.wrong_type(value, "tool_calls", "api.ToolCall");
  const Fields f = message.inside(value, "tool_calls");
  Json out = Json::object();
  QUIPU_ASSIGN(const std::string id, f.text("id"));
  if (!id.empty()) out["id"] = id;
  QUIPU_ASSIGN(const Json* function, f.object("function", "api.ToolCallFunction"));
  Json called = Json::object();
  if (function != nullptr) {
    const Fields g = f.inside(*function, "function");
    QUIPU_ASSIGN(const int64_t index, g.integer("index", 0));
    QUIPU_ASSIGN(const std::string name, g.text("name"));
    called = {{"index", index}, {"name", name}, {"arguments", Json::object()}};
    if (const Json* arguments = g.find("arguments")) {
      // In Ollama's words, which clients meet when they send OpenAI's form, where arguments are a text.
      if (!arguments->is_object())
        return error(Code::kInvalidArgument, "Value looks like object, but can't find closing '}}' symbol");
      called["arguments"] = *arguments;
    }
  }
  out["function"] = std::move(called);
  return out;
}

Result<Json> read_message(const Fields& f) {
  Json out = Json::object();
  QUIPU_ASSIGN(std::string role, f.text("role"));
  for (char& c : role)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  out["role"] = std::move(role);
  QUIPU_ASSIGN(out["content"], f.text("content"));
  for (const char* name : {"thinking", "tool_name", "tool_call_id"}) {
    QUIPU_ASSIGN(const std::string text, f.text(name));
    if (!text.empty()) out[name] = text;
  }
  QUIPU_ASSIGN(const std::vector<std::string> images, read_images(f));
  if (!images.empty()) out["images"] = images;
  QUIPU_ASSIGN(const Json* calls, f.array("tool_calls", "[]api.ToolCall"));
  if (calls != nullptr && !calls->empty()) {
    Json list = Json::array();
    for (const Json& call : *calls) {
      QUIPU_ASSIGN(Json read, read_tool_call(call, f));
      list.push_back(std::move(read));
    }
    out["tool_calls"] = std::move(list);
  }
  return out;
}

Json system_message(const std::string& text) { return {{"role", "system"}, {"content", text}}; }

// Families whose earlier thoughts are not shown to them again.
bool forgets_thoughts(const store::ModelInfo& model) {
  return model.config.model_family == "qwen3" || model.name.model == "deepseek-r1";
}

void strip_thoughts(Json& messages) {
  size_t last_user = 0;
  for (size_t i = 0; i < messages.size(); ++i)
    if (messages[i]["role"] == "user") last_user = i;
  for (size_t i = 0; i < last_user; ++i) {
    if (messages[i]["role"] != "assistant") continue;
    std::string text = messages[i]["content"].get<std::string>();
    const size_t begin = text.find("<think>"), end = text.find("</think>");
    if (begin == text.npos || end == text.npos || end < begin) continue;
    text.erase(begin, end + 8 - begin);
    text.erase(0, text.find_first_not_of(" \t\r\n"));
    messages[i]["content"] = text;
  }
}

}  // namespace

Result<GenerateInput> read_generate_input(const Fields& f) {
  GenerateInput in;
  QUIPU_ASSIGN(in.prompt, f.text("prompt"));
  QUIPU_ASSIGN(in.suffix, f.text("suffix"));
  QUIPU_ASSIGN(in.system, f.text("system"));
  QUIPU_ASSIGN(in.template_text, f.text("template"));
  QUIPU_ASSIGN(in.raw, f.flag("raw", false));
  QUIPU_ASSIGN(in.images, read_images(f));
  QUIPU_ASSIGN(const Json* context, f.array("context", "[]int"));
  if (context != nullptr)
    for (const Json& id : *context) {
      if (!id.is_number_integer() && !id.is_null()) return f.wrong_type(id, "context", "int");
      in.context.push_back(id.is_null() ? 0 : id.get<int64_t>());
    }
  return in;
}

Result<Json> read_messages(const Fields& f) {
  Json messages = Json::array();
  QUIPU_ASSIGN(const Json* list, f.array("messages", "[]api.Message"));
  if (list == nullptr) return messages;
  for (const Json& m : *list) {
    if (!is_object_or_null(m)) return f.wrong_type(m, "messages", "api.Message");
    QUIPU_ASSIGN(Json read, read_message(f.inside(m, "messages")));
    messages.push_back(std::move(read));
  }
  return messages;
}

Result<ChatInput> read_chat_input(const Fields& f) {
  ChatInput in;
  QUIPU_ASSIGN(in.messages, read_messages(f));
  QUIPU_ASSIGN(const Json* tools, f.array("tools", "api.Tools"));
  if (tools != nullptr)
    for (const Json& tool : *tools) {
      if (!is_object_or_null(tool)) return f.wrong_type(tool, "tools", "api.Tool");
      in.tools.push_back(tool.is_null() ? Json::object() : tool);
    }
  QUIPU_ASSIGN(const Json* ours, f.object("quipu", "quipu.Chat"));
  if (ours == nullptr) return in;
  const Fields of_ours = f.inside(*ours, "quipu");
  QUIPU_ASSIGN(in.drop_messages, of_ours.flag("drop_messages"));
  QUIPU_ASSIGN(in.template_text, of_ours.text("template"));
  return in;
}

void add_prompt(Json& body, const GenerateInput& in, const store::ModelInfo& model) {
  if (in.raw) {
    body["raw"] = true;
    body["prompt"] = in.prompt;
    if (!in.images.empty()) body["images"] = in.images;
    return;
  }
  body["return_context"] = true;
  if (!in.template_text.empty())
    body["template"] = {{"kind", "go"}, {"text", in.template_text}};
  else if (Json own = template_in_use(model); !own.is_null())
    body["template"] = std::move(own);
  else if (model.template_source == store::TemplateSource::kNone)
    body["template"] = {{"kind", "go"}, {"text", store::kDefaultTemplate}};  // where a chat gets ChatML
  if (!in.context.empty()) body["context"] = in.context;
  if (!in.suffix.empty()) {
    body["prompt"] = in.prompt;
    body["suffix"] = in.suffix;
    return;
  }
  Json messages = Json::array();
  const std::string& system = in.system.empty() ? model.system : in.system;
  if (!system.empty()) messages.push_back(system_message(system));
  if (in.context.empty())
    for (const auto& m : model.messages) messages.push_back(Json(m));
  Json last = {{"role", "user"}, {"content", in.prompt}};
  if (!in.images.empty()) last["images"] = in.images;
  messages.push_back(std::move(last));
  body["messages"] = std::move(messages);
}

void add_messages(Json& body, const ChatInput& in, const store::ModelInfo& model) {
  Json messages = Json::array();
  if (!model.system.empty() && in.messages[0]["role"] != "system")
    messages.push_back(system_message(model.system));
  for (const auto& m : model.messages) messages.push_back(Json(m));
  for (const Json& m : in.messages) messages.push_back(m);
  if (forgets_thoughts(model)) strip_thoughts(messages);
  body["messages"] = std::move(messages);
  if (!in.tools.empty()) body["tools"] = in.tools;
  if (in.drop_messages) body["drop_messages"] = *in.drop_messages;
  if (!in.template_text.empty())
    body["template"] = {{"kind", "go"}, {"text", in.template_text}};
  else if (Json own = template_in_use(model); !own.is_null())
    body["template"] = std::move(own);
}

}  // namespace quipu::server::native
