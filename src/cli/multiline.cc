#include "cli/multiline.h"

namespace quipu::cli {

namespace {
constexpr std::string_view kMark = "\"\"\"";
}

void MultilineText::reset() {
  open_ = false;
  empty_ = true;
  text_.clear();
}

bool MultilineText::feed(std::string_view line) {
  if (!open_) {
    text_.clear();
    if (!line.starts_with(kMark)) {
      text_ = line;
      return true;
    }
    open_ = true;
    empty_ = true;
    line.remove_prefix(kMark.size());
    if (line.empty()) return false;  // the text starts on the next line
  }
  const bool closes = line.ends_with(kMark);
  if (closes) line.remove_suffix(kMark.size());
  if (!closes || !line.empty()) {  // a closing mark alone adds no line
    if (!empty_) text_ += '\n';
    text_ += line;
    empty_ = false;
  }
  if (closes) open_ = false;
  return closes;
}

}  // namespace quipu::cli
