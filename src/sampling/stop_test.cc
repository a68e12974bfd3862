#include "sampling/stop.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace quipu {
namespace {

// What a reader has seen, and whether a stop string ended it, when the text comes in pieces of n bytes.
std::pair<std::string, bool> in_pieces(const std::vector<std::string>& stops, const std::string& text,
                                       size_t n) {
  StopMatcher m(stops);
  std::string shown;
  for (size_t i = 0; i < text.size(); i += n) shown += m.push(std::string_view(text).substr(i, n));
  shown += m.finish();
  return {shown, m.matched()};
}

std::string cut(const std::vector<std::string>& stops, const std::string& text) {
  const auto whole = in_pieces(stops, text, text.size() + 1);
  for (size_t n = 1; n <= text.size(); ++n) EXPECT_EQ(in_pieces(stops, text, n), whole) << "pieces of " << n;
  return whole.first + (whole.second ? "|" : "");
}

TEST(StopMatcher, CutsBeforeTheStopString) {
  EXPECT_EQ(cut({"END"}, "some text END more"), "some text |");
  EXPECT_EQ(cut({"END"}, "END"), "|");
  EXPECT_EQ(cut({"END"}, "EN EEN ENEND"), "EN EEN EN|");
  EXPECT_EQ(cut({"END"}, "nothing here"), "nothing here");
  EXPECT_EQ(cut({"END"}, "it breaks off EN"), "it breaks off EN");
  EXPECT_EQ(cut({}, "text"), "text");
  EXPECT_EQ(cut({"\n\n", "User:"}, "one\ntwo\nUser: three"), "one\ntwo\n|");
}

TEST(StopMatcher, OverlappingStopStrings) {
  EXPECT_EQ(cut({"aab"}, "aaaab"), "aa|") << "the match begins inside a failed one";
  EXPECT_EQ(cut({"abab!"}, "ababab!"), "ab|");
  EXPECT_EQ(cut({"aabaaab"}, "aabaabaaab"), "aab|");
  EXPECT_EQ(cut({"abcd", "bc"}, "xabcd"), "xa|") << "the first that is complete";
  EXPECT_EQ(cut({"bcd", "abcd"}, "xabcd"), "x|") << "of two that end together the longer";
  EXPECT_EQ(cut({"abcd", "bcx"}, "abcx"), "a|");
  EXPECT_EQ(cut({"aaaa", "aab"}, "aaab"), "a|");
  EXPECT_EQ(cut({"a", "a", ""}, "bab"), "b|");
}

TEST(StopMatcher, HoldsBackOnlyWhatMayBeAStart) {
  StopMatcher m({"<|end|>", "\nUser"});
  EXPECT_EQ(m.push("Hello <"), "Hello ");
  EXPECT_EQ(m.push("|en"), "");
  EXPECT_EQ(m.push("large"), "<|enlarge");
  EXPECT_EQ(m.push("\nUse <|end"), "\nUse ");
  EXPECT_FALSE(m.matched());
  EXPECT_EQ(m.push("|> and more"), "");
  EXPECT_TRUE(m.matched());
  EXPECT_EQ(m.push("later"), "");
  EXPECT_EQ(m.finish(), "");
}

TEST(StopMatcher, CharactersStayWhole) {
  EXPECT_EQ(cut({"é"}, "caf\u00e9s"), "caf|");
  EXPECT_EQ(cut({"日本"}, "これは日本"), "これは|");
  // The same last byte as in the stop string, inside another character; and stop strings that are no text at
  // all.
  EXPECT_EQ(cut({"\xA9!"}, "caf\u00e9!"), "caf\u00e9!");
  EXPECT_EQ(cut({"\x80"}, "\u00c0 and \u20ac"), "\u00c0 and \u20ac");
  StopMatcher m({"é!"});
  EXPECT_EQ(m.push("caf\u00e9"), "caf") << "the whole character is held back";
  EXPECT_EQ(m.push("\u00e9"), "\u00e9");
  EXPECT_EQ(m.finish(), "\u00e9");
}

// Against a search of the whole text, over an alphabet small enough for overlaps everywhere.
TEST(StopMatcher, AgreesWithASearchOfTheWholeText) {
  std::mt19937 random(11);
  const auto letters = [&](size_t n) {
    std::string s(n, ' ');
    for (char& c : s) c = static_cast<char>('a' + random() % 2);
    return s;
  };
  for (int round = 0; round < 3000; ++round) {
    std::vector<std::string> stops;
    for (size_t i = 0; i < 1 + random() % 3; ++i) stops.push_back(letters(1 + random() % 8));
    const std::string text = letters(random() % 40);
    std::string expected = text;
    for (size_t end = 1; end <= text.size() && expected.back() != '|'; ++end) {
      size_t longest = 0;
      for (const std::string& s : stops)
        if (text.substr(0, end).ends_with(s)) longest = std::max(longest, s.size());
      if (longest > 0) expected = text.substr(0, end - longest) + "|";
    }
    ASSERT_EQ(cut(stops, text), expected);
  }
}

// A stop string as long as the text, matched to its last byte again and again: linear all the same.
TEST(StopMatcher, ALongHostileStopString) {
  const std::string a(50'000, 'a');
  StopMatcher m({a + "b"});
  std::string shown;
  for (int i = 0; i < 100'000; ++i) shown += m.push("a");
  EXPECT_EQ(shown.size(), 50'000u);
  m.push("b");
  EXPECT_TRUE(m.matched());
}

// Pushes tokens until the guard ends the run; how many it took (0: it never did).
size_t pushed(const std::vector<int32_t>& tokens) {
  RepetitionGuard g;
  for (size_t i = 0; i < tokens.size(); ++i)
    if (g.push(tokens[i], std::nullopt)) return i + 1;
  return 0;
}

std::vector<int32_t> repeated(size_t period, size_t n) {
  std::vector<int32_t> t;
  for (size_t i = 0; i < n; ++i) t.push_back(static_cast<int32_t>(100 + i % period));
  return t;
}

TEST(RepetitionGuard, EndsAPeriodThatGoesOnForLong) {
  EXPECT_EQ(pushed(repeated(1, 1000)), 256u);
  EXPECT_EQ(pushed(repeated(3, 1000)), 256u);
  EXPECT_EQ(pushed(repeated(32, 1000)), 256u);
  EXPECT_EQ(pushed(repeated(33, 1000)), 33u * 8);
  EXPECT_EQ(pushed(repeated(64, 1000)), 64u * 8);
  EXPECT_EQ(pushed(repeated(65, 10'000)), 0u) << "longer than a phrase";
  std::vector<int32_t> later = {1, 2, 3, 4, 5, 6, 7, 1, 2, 3};
  for (int32_t t : repeated(5, 1000)) later.push_back(t);
  EXPECT_EQ(pushed(later), 10u + 256);
}

TEST(RepetitionGuard, AllowsWhatOnlyLooksAlike) {
  EXPECT_EQ(pushed(repeated(1, 255)), 0u);
  EXPECT_EQ(pushed(repeated(64, 64 * 8 - 1)), 0u);
  // A table: every row is like the one before but for its number.
  std::vector<int32_t> table;
  for (int32_t row = 0; row < 500; ++row)
    for (int32_t column = 0; column < 10; ++column) table.push_back(column == 3 ? 1000 + row : column);
  EXPECT_EQ(pushed(table), 0u);
  // A phrase that is interrupted.
  std::vector<int32_t> broken;
  for (int i = 0; i < 50; ++i) {
    for (int32_t t : repeated(4, 240)) broken.push_back(t);
    broken.push_back(i);
  }
  EXPECT_EQ(pushed(broken), 0u);
  std::mt19937 random(13);
  std::vector<int32_t> noise(100'000);
  for (int32_t& t : noise) t = static_cast<int32_t>(random() % 2);
  EXPECT_EQ(pushed(noise), 0u);
}

// Pushes pieces with tokens that never repeat.
size_t spoken(const std::vector<std::string>& pieces) {
  RepetitionGuard g;
  for (size_t i = 0; i < pieces.size(); ++i)
    if (g.push(static_cast<int32_t>(i), pieces[i])) return i + 1;
  return 0;
}

TEST(RepetitionGuard, EndsAPieceThatIsRepeated) {
  EXPECT_EQ(spoken(std::vector<std::string>(100, "ha")), 32u) << "one, and 31 equal ones";
  EXPECT_EQ(spoken(std::vector<std::string>(31, "ha")), 0u);
  std::vector<std::string> spaced;
  for (int i = 0; i < 50; ++i) spaced.push_back(i % 3 == 0 ? " ha" : i % 3 == 1 ? "ha \n" : "\tha\u00a0");
  EXPECT_EQ(spoken(spaced), 32u) << "white space around it does not count";
  std::vector<std::string> blank;
  for (int i = 0; i < 50; ++i)
    blank.push_back(i % 4 == 0 ? " " : i % 4 == 1 ? "\n\n" : i % 4 == 2 ? "\u2003\u3000" : "");
  EXPECT_EQ(spoken(blank), 31u) << "the first equals the nothing before it";
  blank[29] = "word";
  EXPECT_EQ(spoken(blank), 0u);
}

TEST(RepetitionGuard, AllowsRowsOfOtherPieces) {
  std::vector<std::string> pieces;
  for (int i = 0; i < 1000; ++i) pieces.push_back(i % 31 == 30 ? "!" : "ha");
  EXPECT_EQ(spoken(pieces), 0u);
  pieces.clear();
  for (int i = 0; i < 1000; ++i) pieces.push_back(i % 2 == 0 ? "ha" : "ho");
  EXPECT_EQ(spoken(pieces), 0u);
  for (int i = 0; i < 1000; ++i) pieces.push_back("x\u200b");  // a zero width space is no white space
  EXPECT_EQ(spoken(pieces), 1032u);
}

// Halves of characters bring no text: they neither count nor interrupt.
TEST(RepetitionGuard, PiecesWithoutACompleteCharacter) {
  RepetitionGuard g;
  size_t n = 0;
  for (int32_t i = 0; i < 200 && n == 0; ++i)
    if (g.push(i, i % 2 == 0 ? std::nullopt : std::optional<std::string_view>("😀")))
      n = static_cast<size_t>(i) + 1;
  EXPECT_EQ(n, 64u);
}

}  // namespace
}  // namespace quipu
