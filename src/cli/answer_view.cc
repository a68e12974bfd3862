#include "cli/answer_view.h"

namespace quipu::cli {

namespace {

constexpr std::string_view kGrey = "\x1b[38;5;245m", kBold = "\x1b[1m", kPlain = "\x1b[0m";

}  // namespace

AnswerView::AnswerView(Console& console, const ViewOptions& options)
    : console_(console), hide_thinking_(options.hide_thinking), spinner_(console, "") {
  if (options.word_wrap && console.out_has_cursor()) wrap_.emplace(console.columns());
}

void AnswerView::idle() {
  // The sign would stand in the middle of a line that the answer has begun.
  if (console_.out_is_terminal() && !anything_) spinner_.tick();
}

bool AnswerView::write(std::string_view text) {
  spinner_.clear();
  if (text.empty()) return true;
  anything_ = true;
  line_open_ = !text.ends_with('\n');
  if (!console_.out_is_terminal()) return console_.out(text);
  const std::string shown = printable(text);
  return console_.out(wrap_ ? wrap_->feed(shown) : shown);
}

bool AnswerView::thinking(std::string_view text) {
  if (hide_thinking_ || text.empty()) return true;
  spinner_.clear();
  if (!in_thinking_) {
    in_thinking_ = true;
    const bool colour = console_.colour();
    if (!console_.out(colour ? fmt::format("{}{}Thinking...\n{}{}", kGrey, kBold, kPlain, kGrey)
                             : "Thinking...\n"))
      return false;
  }
  return write(text);
}

bool AnswerView::close_thinking() {
  if (!in_thinking_) return true;
  in_thinking_ = false;
  const bool colour = console_.colour();
  const bool written = write(line_open_ ? "\n" : "") &&
                       console_.out(colour ? fmt::format("{}{}...done thinking.\n\n{}", kGrey, kBold, kPlain)
                                           : "...done thinking.\n\n");
  return written;
}

bool AnswerView::content(std::string_view text) {
  if (text.empty()) return true;
  return close_thinking() && write(text);
}

void AnswerView::end() {
  spinner_.clear();
  // Cut off while it thought: the colour must not stay.
  if (in_thinking_ && console_.colour()) console_.out(kPlain);
  in_thinking_ = false;
}

}  // namespace quipu::cli
