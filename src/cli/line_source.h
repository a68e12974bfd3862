// Where the lines of a conversation come from.
#pragma once

#include <string>

namespace quipu::cli {

class LineSource {
 public:
  enum class Outcome {
    kLine,
    kInterrupted,  // Ctrl-C; text: what stood in the line
    kEnd,          // Ctrl-D on an empty line, or the terminal is gone
  };
  struct Line {
    Outcome outcome = Outcome::kEnd;
    std::string text;  // may hold newlines: pasted, or entered with Ctrl-J
  };

  virtual ~LineSource() = default;
  // `hint` is shown in an empty line until something is typed.
  virtual Line read(const std::string& prompt, const std::string& hint) = 0;
  virtual void remember(const std::string& line) = 0;  // for the arrow keys and the history file
  virtual void keep_history(bool on) = 0;              // whether lines go to the file
};

}  // namespace quipu::cli
