// A conversation: its messages, and the requests that carry it on.
#pragma once

#include <string>
#include <vector>

#include "cli/answer.h"
#include "cli/attachments.h"
#include "cli/opened_model.h"

namespace quipu::cli {

class ChatSession {
 public:
  struct Message {
    std::string role, content, thinking;
    std::vector<std::string> images;  // base64
  };

  // What goes with every request; /set changes it between them.
  Json options = Json::object();
  Json format, think, keep_alive;  // null: not said
  std::string template_text;       // empty: the model's own

  // A system message at this point of the conversation: it replaces one that nothing followed yet.
  void set_system(const std::string& text);
  std::string system() const;  // the latest; empty: none
  void clear();                // all but the latest system message
  void forget() {              // all
    messages_.clear();
    dropped_ = 0;
  }

  // Asks and prints the answer. What was answered is kept, in part if it was cancelled; a question that got
  // nothing is forgotten. When the server had to leave out older messages than before, the user is told.
  Result<Answer> ask(AttachedText question, const OpenedModel& model, const ViewOptions& view,
                     Console& console);

  // Loads the model before the first question, with a sign on a terminal.
  Result<void> load(const OpenedModel& model, Console& console) const;

  const std::vector<Message>& messages() const { return messages_; }
  Json messages_json() const;
  Question request(const OpenedModel& model) const;

 private:
  Json common(const OpenedModel& model) const;

  std::vector<Message> messages_;
  int64_t dropped_ = 0;  // messages the server left out of the last prompt
};

}  // namespace quipu::cli
