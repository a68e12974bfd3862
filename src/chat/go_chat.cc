#include "chat/go_chat.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "chat/go/text.h"
#include "chat/go_chat_data.h"

namespace quipu {

namespace {

using gotmpl::Value;

// Each image takes the next [img] of its message; those without one stand in front.
std::string with_image_marks(const Message& m, size_t& n_images) {
  constexpr std::string_view kPlace = "[img]";
  std::string front, body;
  std::string_view rest = m.content;
  for (size_t i = 0; i < m.n_images; ++i) {
    const std::string mark = fmt::format("[img-{}]", n_images++);
    const size_t at = rest.find(kPlace);
    if (at == std::string_view::npos) {
      front += mark;
      continue;
    }
    body.append(rest.substr(0, at)).append(mark);
    rest.remove_prefix(at + kPlace.size());
  }
  return front + body.append(rest);
}

void append_paragraph(std::string& text, bool first, const std::string& more) {
  if (!first) text += "\n\n";
  text += more;
}

struct Collated {
  std::string system;  // all system messages
  std::vector<CollatedMessage> messages;
};

// Consecutive messages of one role become one, which keeps the first one's other fields. Answers of tools
// stay apart.
Collated collate(std::span<const Message> messages) {
  Collated out;
  size_t n_images = 0, n_system = 0;
  for (const Message& original : messages) {
    CollatedMessage m{gotmpl::to_lower(original.role), with_image_marks(original, n_images), &original};
    if (m.role == "system") append_paragraph(out.system, n_system++ == 0, m.content);
    if (!out.messages.empty() && out.messages.back().role == m.role && m.role != "tool")
      append_paragraph(out.messages.back().content, false, m.content);
    else
      out.messages.push_back(std::move(m));
  }
  return out;
}

class Renderer {
 public:
  Renderer(const GoTemplate& chat_template, const GoChatInput& input)
      : template_(chat_template), input_(input), budget_(chat_template.limits(), StopQuestion(input.stop)) {}

  Result<std::string> render() {
    if (!input_.prompt.empty() && !input_.suffix.empty()) {
      set("Prompt", input_.prompt);
      set("Suffix", input_.suffix);
      set("Response", "");
      QUIPU_TRY(execute(GoTemplate::Part::kWhole));
      return gotmpl::to_valid_utf8(out_);
    }
    const Collated conversation = collate(input_.messages);
    QUIPU_TRY(template_.uses("messages") ? whole(conversation) : turns(conversation.messages));
    return gotmpl::to_valid_utf8(out_);
  }

 private:
  void set(std::string name, Value value) { data_.emplace_back(std::move(name), value.boxed()); }
  void set(std::string name, std::string text) { set(std::move(name), Value::string(std::move(text))); }

  // Runs the template on what was set, and forgets that.
  Result<void> execute(GoTemplate::Part part) {
    const Think& think = input_.think;
    set("Think", Value::boolean(think.on));
    set("ThinkLevel", think.on && think.level.empty() ? "medium" : think.level);
    set("IsThinkSet", Value::boolean(think.given));
    const Value data = Value::map(gotmpl::kAnyMapType, std::exchange(data_, {}));
    return template_.execute(data, input_.now_unix, out_, budget_, part);
  }

  // One run for the whole conversation.
  Result<void> whole(const Collated& conversation) {
    QUIPU_ASSIGN(Value tools, tools_value(input_.tools));
    QUIPU_ASSIGN(Value messages, messages_value(conversation.messages));
    set("System", conversation.system);
    set("Messages", std::move(messages));
    set("Tools", std::move(tools));
    set("Response", "");
    return execute(GoTemplate::Part::kWhole);
  }

  // One run for each turn: system, prompt, response. The last one ends where the model goes on.
  Result<void> turns(const std::vector<CollatedMessage>& messages) {
    for (const CollatedMessage& m : messages) {
      if (m.role == "system") {
        if (!prompt_.empty() || !response_.empty()) QUIPU_TRY(turn(GoTemplate::Part::kWhole));
        system_ = m.content;
      } else if (m.role == "user") {
        if (!response_.empty()) QUIPU_TRY(turn(GoTemplate::Part::kWhole));
        prompt_ = m.content;
      } else if (m.role == "assistant") {
        response_ = m.content;
      }
    }
    return turn(GoTemplate::Part::kUntilResponse);
  }

  Result<void> turn(GoTemplate::Part part) {
    set("System", std::exchange(system_, {}));
    set("Prompt", std::exchange(prompt_, {}));
    set("Response", std::exchange(response_, {}));
    return execute(part);
  }

  const GoTemplate& template_;
  const GoChatInput& input_;
  gotmpl::Budget budget_;
  std::vector<Value::Entry> data_;
  std::string system_, prompt_, response_;
  std::string out_;
};

}  // namespace

Result<std::string> render_go_chat(const GoTemplate& chat_template, const GoChatInput& input) {
  return Renderer(chat_template, input).render();
}

}  // namespace quipu
