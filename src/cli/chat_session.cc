#include "cli/chat_session.h"

#include "cli/render.h"
#include "cli/report.h"

namespace quipu::cli {

void ChatSession::set_system(const std::string& text) {
  if (!messages_.empty() && messages_.back().role == "system")
    messages_.back().content = text;
  else
    messages_.push_back({"system", text, {}, {}});
}

std::string ChatSession::system() const {
  for (auto it = messages_.rbegin(); it != messages_.rend(); ++it)
    if (it->role == "system") return it->content;
  return {};
}

void ChatSession::clear() {
  const std::string kept = system();
  forget();
  if (!kept.empty()) messages_.push_back({"system", kept, {}, {}});
}

Json ChatSession::messages_json() const {
  Json all = Json::array();
  for (const Message& m : messages_) {
    Json one = {{"role", m.role}, {"content", m.content}};
    if (!m.thinking.empty()) one["thinking"] = m.thinking;
    if (!m.images.empty()) one["images"] = m.images;
    all.push_back(std::move(one));
  }
  return all;
}

Json ChatSession::common(const OpenedModel& model) const {
  Json body = {{"model", model.name}};
  if (!options.empty()) body["options"] = options;
  if (!keep_alive.is_null()) body["keep_alive"] = keep_alive;
  // Of a model that cannot, /set think was warned about.
  if (!think.is_null() && (model.can("thinking") || think == Json(false))) body["think"] = think;
  return body;
}

Question ChatSession::request(const OpenedModel& model) const {
  Json body = common(model);
  body["messages"] = messages_json();
  if (!format.is_null()) body["format"] = format;
  if (model.api->version().is_quipu()) {
    // A single message that is too long is refused rather than cut; older ones are left out by the server.
    body["truncate"] = false;
    body["quipu"] = {{"drop_messages", true}};
    if (!template_text.empty()) body["quipu"]["template"] = template_text;
  }
  return {"/api/chat", std::move(body)};
}

Result<void> ChatSession::load(const OpenedModel& model, Console& console) const {
  Spinner spinner(console, "");
  const auto on_line = [](const Json&) { return true; };
  const auto on_idle = [&] {
    spinner.tick();
    return !console.signals().take_interrupt();
  };
  return model.api->stream("/api/generate", common(model), on_line, on_idle);
}

Result<Answer> ChatSession::ask(AttachedText question, const OpenedModel& model, const ViewOptions& view,
                                Console& console) {
  Message asked{"user", std::move(question.text), {}, {}};
  for (Attachment& file : question.files) asked.images.push_back(std::move(file.base64));
  messages_.push_back(std::move(asked));
  Result<Answer> answer = stream_answer(*model.api, request(model), view, console);
  if (!answer || (answer->cancelled && answer->text.empty())) {
    messages_.pop_back();
    return answer;
  }
  messages_.push_back({"assistant", answer->text, answer->thinking, {}});
  if (!answer->cancelled) {
    const int64_t dropped = number_of(field_of(answer->done, "quipu"), "dropped_messages");
    if (dropped > dropped_) {
      const int64_t known = number_of(options, "num_ctx");
      console.err_line(
          dropped_notice(dropped - dropped_, known > 0 ? known : loaded_context(*model.api, model.name)));
    }
    dropped_ = dropped;
  }
  return answer;
}

}  // namespace quipu::cli
