#include "chat/chat_template.h"

#include <ctime>
#include <utility>

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

}  // namespace

Result<ChatTemplate> ChatTemplate::create(std::string source, std::string bos, std::string eos) {
  QUIPU_ASSIGN(jinja::Template parsed,
               jinja::Template::parse(source.empty() ? kChatMl : std::string_view(source)));
  return ChatTemplate(std::move(parsed), std::move(bos), std::move(eos));
}

Result<std::string> ChatTemplate::render(std::span<const Message> messages,
                                         const RenderOptions& options) const {
  // What templates are written for: tools and documents are there, and null.
  nlohmann::ordered_json context;
  context["messages"] = nlohmann::ordered_json::array();
  for (const Message& m : messages) context["messages"].push_back({{"role", m.role}, {"content", m.content}});
  context["tools"] = nullptr;
  context["documents"] = nullptr;
  context["add_generation_prompt"] = options.add_generation_prompt;
  context["bos_token"] = bos_;
  context["eos_token"] = eos_;
  return template_.render(context, local_seconds(options.now_unix));
}

}  // namespace quipu
