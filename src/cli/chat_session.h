// A conversation: its messages, and the requests that carry it on.
#pragma once

#include <string>
#include <vector>

#include "cli/answer.h"

namespace quipu::cli {

class ChatSession {
 public:
  struct Message {
    std::string role, content;
  };

  // What goes with every request; /set changes it between them.
  Json options = Json::object();
  std::string template_text;

  // A system message at this point of the conversation: it replaces one that nothing followed yet.
  void set_system(const std::string& text);
  std::string system() const;  // the latest; empty: none
  void clear();                // all but the latest system message

  // Asks and prints the answer. What was answered is kept, in part if it was cancelled; a question that got
  // nothing is forgotten. When the runner had to leave out older messages than before, the user is told.
  Result<Answer> ask(const std::string& text, RunnerConnection& runner, const ViewOptions& view,
                     int64_t num_ctx, Console& console);

  const std::vector<Message>& messages() const { return messages_; }
  Json request() const;

 private:
  std::vector<Message> messages_;
  int64_t dropped_ = 0;  // messages the runner left out of the last prompt
};

}  // namespace quipu::cli
