#include "cli/render.h"

#include <gtest/gtest.h>

namespace quipu::cli {

namespace {

// What a terminal shows after the escape sequences that WordWrap uses (cursor left, erase to the end of the
// line).
std::string screen(const std::string& written) {
  std::vector<std::u32string> lines(1);
  for (size_t at = 0; at < written.size();) {
    if (written[at] == '\x1b') {
      const size_t end = written.find_first_of("DK", at);
      if (written[end] == 'D') {
        int cells = std::stoi(written.substr(at + 2));
        while (cells > 0) {
          cells -= code_point_width(lines.back().back());
          lines.back().pop_back();
        }
      }
      at = end + 1;
      continue;
    }
    size_t n = 0;
    const char32_t c = decode_utf8(std::string_view(written).substr(at), &n);
    at += n;
    if (c == '\n')
      lines.emplace_back();
    else
      lines.back() += c;
  }
  std::string out;
  for (const auto& line : lines) {
    for (char32_t c : line) out += encode_utf8(c);
    out += "|";
  }
  return out;
}

std::string wrapped(int columns, std::string_view text, bool by_character = false) {
  WordWrap wrap(columns + WordWrap::kMargin);
  std::string out;
  if (!by_character) return screen(wrap.feed(text));
  while (!text.empty()) {
    size_t n = 0;
    decode_utf8(text, &n);
    out += wrap.feed(text.substr(0, n));
    text.remove_prefix(n);
  }
  return screen(out);
}

TEST(WordWrap, BreaksBetweenWords) {
  EXPECT_EQ(wrapped(10, "one two three four"), "one two |three four|");
  EXPECT_EQ(wrapped(10, "short"), "short|");
  EXPECT_EQ(wrapped(10, "1234567890 x"), "1234567890|x|");
  EXPECT_EQ(wrapped(10, "one two\nthree four"), "one two|three four|");
}

TEST(WordWrap, LongWordsBreakWhereTheyMust) {
  EXPECT_EQ(wrapped(5, "abcdefghijkl"), "abcde|fghij|kl|");
  EXPECT_EQ(wrapped(5, "a bcdefghijk"), "a |bcdef|ghijk|");
}

TEST(WordWrap, CountsColumnsNotBytes) {
  EXPECT_EQ(wrapped(10, "äöü éèê ñõã"), "äöü éèê |ñõã|");
  EXPECT_EQ(wrapped(10, "日本語のテキスト"), "日本語のテ|キスト|");
  EXPECT_EQ(wrapped(5, "e\u0301e\u0301e\u0301e\u0301e\u0301"), "e\u0301e\u0301e\u0301e\u0301e\u0301|");
  EXPECT_EQ(wrapped(9, "日本語のテキスト"), "日本語の|テキスト|");
}

TEST(WordWrap, StreamingGivesTheSameScreen) {
  const std::string text =
      "The quick brown fox, naïve 日本語 words and averyveryverylongwordindeed.\nNext\tline  with   spaces";
  for (int columns = 1; columns < 40; ++columns)
    EXPECT_EQ(wrapped(columns, text), wrapped(columns, text, true)) << columns;
}

TEST(WordWrap, NoLineIsLongerThanAllowed) {
  const std::string text =
      "Lorem ipsum dolor sit amet, 日本語 consectetur adipiscingelitseddoeiusmodtempor incididunt";
  for (int columns = 2; columns < 50; ++columns) {
    int width = 0;
    const std::string shown = wrapped(columns, text);
    for (size_t at = 0; at < shown.size();) {
      size_t n = 0;
      const char32_t c = decode_utf8(std::string_view(shown).substr(at), &n);
      at += n;
      if (c == '|') {
        EXPECT_LE(width, columns + 1) << columns;  // a space may stand in the margin
        width = 0;
      } else {
        width += code_point_width(c);
      }
    }
  }
}

TEST(FitPage, LongLinesGoOnBelowTheirLastColumn) {
  EXPECT_EQ(fit_page("", 40), "");
  EXPECT_EQ(fit_page("short\n\n  --flag   help\n", 40), "short\n\n  --flag   help\n");
  EXPECT_EQ(fit_page("  --flag   "
                     "one two three four five six\n  --x      y\n",
                     34),
            "  --flag   one two three four five\n           six\n  --x      y\n");
  EXPECT_EQ(fit_page("  --flag   "
                     "one two three four five\n",
                     34),
            "  --flag   one two three four five\n");
  EXPECT_EQ(fit_page("a sentence that is longer than its line\n", 20),
            "a sentence that is\nlonger than its line\n");
  EXPECT_EQ(fit_page("  --a-flag-that-is-long-itself         help of it\n", 30),
            "  --a-flag-that-is-long-itself\n      help of it\n");
  const std::string endless(50, 'x');
  EXPECT_EQ(fit_page(endless + "\n", 20), endless + "\n");
  EXPECT_EQ(fit_page("a " + endless + " b\n", 20), "a\n" + endless + "\nb\n");
  for (int columns = -1; columns < 60; ++columns) fit_page("  a  b c\n" + endless + "   \n      \n", columns);
}

TEST(RowsBeforeCursor, AreCountedAsTerminalsWrap) {
  EXPECT_EQ(rows_before_cursor("", 10), 0);
  EXPECT_EQ(rows_before_cursor(">>> hello", 10), 0);
  EXPECT_EQ(rows_before_cursor(">>> hello!", 10), 1);  // the cursor is where the next character goes
  EXPECT_EQ(rows_before_cursor(">>> a\nb\n", 10), 2);
  EXPECT_EQ(rows_before_cursor("123456789日本", 10), 1);  // a wide character does not stand over the edge
  EXPECT_EQ(rows_before_cursor("日本日本日", 10), 1);
  EXPECT_EQ(rows_before_cursor("e\u0301e\u0301", 3), 0);
  EXPECT_EQ(rows_before_cursor("\ta\tb", 17), 1);
  EXPECT_EQ(rows_before_cursor("日", 0), 1);
}

TEST(Printable, ControlCharactersDoNotReachTheTerminal) {
  EXPECT_EQ(printable("a\x1b[2Jb\x07\rc\x7f"), "a[2Jbc");
  EXPECT_EQ(printable("line\n\ttab"), "line\n\ttab");
  EXPECT_EQ(printable("\xc2\x9b"
                      "31m"),
            "31m");  // the one-character form of ESC [
  EXPECT_EQ(printable("grün 日本 🙂"), "grün 日本 🙂");
  EXPECT_EQ(printable("bad\xff!"), "bad\uFFFD!");
}

TEST(FitWindow, ShowsWhatFitsAboveTheCursor) {
  EXPECT_EQ(fit_window("a\nb\nc\nd\n", 10, 4), "a\nb\nc\n");
  EXPECT_EQ(fit_window("a    \n\nb", 3, 9), "a\n\nb\n");
  EXPECT_EQ(fit_window("xxxxxxxxxx\nz\n", 4, 3), "");  // a word of three rows
  EXPECT_EQ(fit_window("", 80, 24), "");
}

}  // namespace

}  // namespace quipu::cli
