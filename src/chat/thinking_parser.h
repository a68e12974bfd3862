// Tells thinking from content in the text that a model writes, piece by piece. However the text is cut into
// pieces, the parts put together are the same.
//
// Threads: one parser belongs to one answer.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace quipu {

class ThinkingParser {
 public:
  struct Parts {
    std::string thinking, content;
  };

  // The tags of the template, neither of them empty (GoTemplate::thinking_tags). `prompt`: what the answer
  // continues; where it ends with the opening tag, the answer begins with thinking.
  ThinkingParser(std::string open, std::string close, std::string_view prompt);

  // What is certain by now. The beginning of a tag is held back until it is one or none, and space that may
  // have to go; when the answer ends, what is still held back is not part of it.
  Parts feed(std::string_view text);

 private:
  enum class State : uint8_t {
    kBefore,     // space, perhaps, and the opening tag; anything else means that there is no thinking
    kAfterOpen,  // space, which goes
    kThinking,
    kAfterClose,  // space, which goes
    kContent,
  };

  bool skip_space(State next);
  bool step(Parts& parts);  // false: more text is needed

  const std::string open_, close_;
  State state_ = State::kBefore;
  std::string held_;
};

}  // namespace quipu
