// The conversation at the terminal: reads lines, obeys the commands that start with a slash, asks the model
// the rest.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/chat_session.h"
#include "cli/line_source.h"
#include "cli/multiline.h"

namespace quipu::cli {

struct ReplSetup {
  std::string file;  // the model file
  Json info;         // the runner's /info
  ChatSession chat;
  ViewOptions view;
};

class Repl {
 public:
  Repl(ReplSetup setup, RunnerConnection& runner, LineSource& lines, Console& console);

  // Until the user leaves. The exit code of the program.
  int run();

 private:
  enum class Pending { kNone, kMessage, kSystem };  // what an open """ belongs to

  bool take_line(const std::string& line);  // false: leave
  bool command(const std::string& line);    // false: leave
  void set(const std::string& line, const std::vector<std::string>& words);
  void set_parameter(const std::vector<std::string>& words);
  void set_think(const std::vector<std::string>& words);
  void show(const std::string& line, const std::vector<std::string>& words);
  void show_parameters();
  void help(const std::vector<std::string>& words);
  void finish_text();
  void ask(const std::string& text);
  void unknown(const std::string& line);
  void say(std::string_view text);  // a line on standard output
  int64_t num_ctx() const;

  std::string file_;
  Json info_;
  ChatSession chat_;
  ViewOptions view_;
  RunnerConnection& runner_;
  LineSource& lines_;
  Console& console_;
  MultilineText text_;
  Pending pending_ = Pending::kNone;
};

}  // namespace quipu::cli
