// The conversation at the terminal: reads lines, obeys the commands that start with a slash, asks the model
// the rest. Spec: ollama-compat 3.5.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/chat_session.h"
#include "cli/line_source.h"
#include "cli/multiline.h"

namespace quipu::cli {

struct ReplSetup {
  OpenedModel model;
  ChatSession chat;
  ViewOptions view;
};

class Repl {
 public:
  Repl(ReplSetup setup, ModelOpener& opener, LineSource& lines, Console& console);

  // Until the user leaves. The exit code of the program.
  int run();

 private:
  enum class Pending { kNone, kMessage, kSystem };  // what an open """ belongs to

  bool take_line(const std::string& line);  // false: leave
  bool command(const std::string& line);    // false: leave
  void help(const std::vector<std::string>& words);
  void list();
  void load(const std::vector<std::string>& words);
  void save(const std::vector<std::string>& words);
  void finish_text();
  void ask(const std::string& text);
  void show_stored_messages();
  bool begins_with_file(const std::string& line) const;
  void unknown(const std::string& line);
  void say(std::string_view text);  // a line on standard output

  // repl_set.cc
  void set(const std::string& line, const std::vector<std::string>& words);
  void set_parameter(const std::vector<std::string>& words);
  void set_think(const std::vector<std::string>& words);
  void set_format(const std::vector<std::string>& words);
  void show(const std::string& line, const std::vector<std::string>& words);
  void show_parameters(const Json& shown);

  OpenedModel model_;
  ChatSession chat_;
  ViewOptions view_;
  ModelOpener& opener_;
  LineSource& lines_;
  Console& console_;
  MultilineText text_;
  Pending pending_ = Pending::kNone;
};

// What follows the first `n` words of a line, blanks inside it kept.
std::string after_words(const std::string& line, int n);

}  // namespace quipu::cli
