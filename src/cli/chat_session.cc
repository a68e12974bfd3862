#include "cli/chat_session.h"

#include "cli/report.h"

namespace quipu::cli {

void ChatSession::set_system(const std::string& text) {
  if (!messages_.empty() && messages_.back().role == "system")
    messages_.back().content = text;
  else
    messages_.push_back({"system", text});
}

std::string ChatSession::system() const {
  for (auto it = messages_.rbegin(); it != messages_.rend(); ++it)
    if (it->role == "system") return it->content;
  return {};
}

void ChatSession::clear() {
  const std::string kept = system();
  messages_.clear();
  dropped_ = 0;
  if (!kept.empty()) messages_.push_back({"system", kept});
}

Json ChatSession::request() const {
  Json messages = Json::array();
  for (const Message& m : messages_) messages.push_back({{"role", m.role}, {"content", m.content}});
  // A single message that is too long is refused rather than cut; older ones are left out by the runner.
  Json out = {{"messages", std::move(messages)}, {"options", options}, {"truncate", false},
              {"drop_messages", true}};
  if (!template_text.empty()) out["template"] = template_text;
  return out;
}

Result<Answer> ChatSession::ask(const std::string& text, RunnerConnection& runner, const ViewOptions& view,
                                int64_t num_ctx, Console& console) {
  messages_.push_back({"user", text});
  Result<Answer> answer = stream_answer(runner, request(), view, num_ctx, console);
  if (!answer || (answer->cancelled && answer->text.empty())) {
    messages_.pop_back();
    return answer;
  }
  messages_.push_back({"assistant", answer->text});
  if (!answer->cancelled) {
    const int64_t dropped = number_of(answer->done, "dropped_messages");
    if (dropped > dropped_) console.err_line(dropped_notice(dropped - dropped_, num_ctx));
    dropped_ = dropped;
  }
  return answer;
}

}  // namespace quipu::cli
