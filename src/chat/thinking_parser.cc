#include "chat/thinking_parser.h"

#include <algorithm>
#include <utility>

#include "chat/go/text.h"

namespace quipu {

namespace {

// How long the longest end of the text is that the tag could begin with.
size_t tag_beginning(std::string_view text, std::string_view tag) {
  for (size_t n = std::min(text.size(), tag.size() - 1); n > 0; --n)
    if (text.ends_with(tag.substr(0, n))) return n;
  return 0;
}

}  // namespace

ThinkingParser::ThinkingParser(std::string open, std::string close, std::string_view prompt)
    : open_(std::move(open)), close_(std::move(close)) {
  if (gotmpl::trim(prompt).ends_with(open_)) state_ = State::kAfterOpen;
}

ThinkingParser::Parts ThinkingParser::feed(std::string_view text) {
  held_ += text;
  Parts parts;
  while (step(parts)) {
  }
  return parts;
}

// Drops space; false: there may be more of it. A character that is not whole yet may be space, too.
bool ThinkingParser::skip_space(State next) {
  const std::string_view rest = gotmpl::trim_left(held_);
  held_.erase(0, held_.size() - rest.size());
  if (held_.empty() || gotmpl::is_rune_prefix(held_)) return false;
  state_ = next;
  return true;
}

bool ThinkingParser::step(Parts& parts) {
  switch (state_) {
    case State::kBefore: {
      const std::string_view rest = gotmpl::trim_left(held_);
      if (rest.starts_with(open_)) {
        held_.erase(0, held_.size() - rest.size() + open_.size());
        state_ = State::kAfterOpen;
        return true;
      }
      if (open_.starts_with(rest) || gotmpl::is_rune_prefix(rest)) return false;
      state_ = State::kContent;
      return true;
    }
    case State::kAfterOpen:
      return skip_space(State::kThinking);
    case State::kThinking: {
      const size_t end = held_.find(close_);
      if (end == std::string::npos) {
        const size_t certain = held_.size() - tag_beginning(held_, close_);
        parts.thinking.append(held_, 0, certain);
        held_.erase(0, certain);
        return false;
      }
      parts.thinking.append(held_, 0, end);
      held_.erase(0, end + close_.size());
      state_ = State::kAfterClose;
      return true;
    }
    case State::kAfterClose:
      return skip_space(State::kContent);
    case State::kContent:
      parts.content += std::exchange(held_, {});
      return false;
  }
  return false;
}

}  // namespace quipu
