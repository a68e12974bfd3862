// Messages that span lines: everything from """ at the start of a line to """ at the end of one.
#pragma once

#include <string>
#include <string_view>

namespace quipu::cli {

class MultilineText {
 public:
  // Takes one line of input. True: text() is complete. A line that opens nothing is complete by itself.
  bool feed(std::string_view line);

  bool open() const { return open_; }
  void reset();
  const std::string& text() const { return text_; }

 private:
  bool open_ = false;
  bool empty_ = true;  // nothing has been taken since it was opened
  std::string text_;
};

}  // namespace quipu::cli
