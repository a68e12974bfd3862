// How an answer looks while it comes: a sign while nothing is there, what the model thinks apart from what it
// says, wrapped at words.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "cli/answer.h"
#include "cli/render.h"

namespace quipu::cli {

class AnswerView {
 public:
  AnswerView(Console& console, const ViewOptions& options);

  void idle();  // nothing has come for a while
  // False: it cannot be written any more.
  bool thinking(std::string_view text);
  bool content(std::string_view text);
  // The end, whole or not.
  void end();

 private:
  bool write(std::string_view text);
  bool close_thinking();

  Console& console_;
  const bool hide_thinking_;
  std::optional<WordWrap> wrap_;
  Spinner spinner_;
  bool anything_ = false, in_thinking_ = false, line_open_ = false;
};

}  // namespace quipu::cli
