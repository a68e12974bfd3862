// How text gets onto a terminal: without control characters, wrapped at words, with a spinner while nothing
// comes.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace quipu::cli {

class Console;

// Columns that a code point takes on a terminal: 0, 1 or 2.
int code_point_width(char32_t c);

// The next code point of `text`, which must not be empty; *length gets its bytes. Bytes that are no UTF-8
// give U+FFFD.
char32_t decode_utf8(std::string_view text, size_t* length);
std::string encode_utf8(char32_t c);

// A page of help with its lines broken at blanks to fit a terminal; what is broken goes on below the column
// that the line's last part, set off by two blanks, began in.
std::string fit_page(std::string_view page, int columns);

// Rows between the first one of a text and the cursor behind it, on a terminal of that width. Tabs and
// control characters as line editors show them: to the next multiple of 8, and as ^X.
int rows_before_cursor(std::string_view text, int columns);

// As much of a text's beginning, broken like a page of help, as a window shows with the cursor below it.
std::string fit_window(std::string_view text, int columns, int rows);

// The text without control characters other than newline and tab: what a model or a file says must not drive
// the terminal.
std::string printable(std::string_view text);

// Breaks lines between words as the text streams in. A word that turns out too long for its line is taken
// back and written again on the next one, so nothing is held back.
class WordWrap {
 public:
  // The margin keeps the cursor away from the edge, where terminals differ in when they wrap themselves.
  static constexpr int kMargin = 5;

  explicit WordWrap(int columns);
  // What to write for this piece: whole UTF-8 characters.
  std::string feed(std::string_view text);

 private:
  void put(char32_t c, std::string_view bytes, std::string& out);

  int limit_;
  int column_ = 0;
  std::string word_;  // since the last place where a line may break
  int word_width_ = 0;
};

// A turning sign on standard error, for terminals. tick() about every 100 ms; clear() before anything else is
// written.
class Spinner {
 public:
  Spinner(Console& console, std::string label);
  ~Spinner() { clear(); }
  Spinner(const Spinner&) = delete;
  Spinner& operator=(const Spinner&) = delete;

  void tick();
  void clear();

 private:
  Console& console_;
  std::string label_;
  bool shown_ = false;
  size_t frame_ = 0;
};

}  // namespace quipu::cli
