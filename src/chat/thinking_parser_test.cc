#include "chat/thinking_parser.h"

#include <gtest/gtest.h>

#include <vector>

namespace quipu {
namespace {

struct Case {
  const char* text;
  const char* thinking;
  const char* content;
  const char* prompt = "";
};

const std::vector<Case> kCases = {
    {"", "", ""},
    {"Hello.", "", "Hello."},
    {"  \n Hello. ", "", "  \n Hello. "},
    {"<think>\nHm.\n</think>\n\nHello.", "Hm.\n", "Hello."},
    {" \t<think>Hm.</think>Hello. ", "Hm.", "Hello. "},
    {"<think></think>hi", "", "hi"},
    {"<think>\n\n</think>\n\nhi", "", "hi"},
    {"<think>a</think>", "a", ""},
    {"<think>a</think>  ", "a", ""},
    {"<think>a</thin k></think>b", "a</thin k>", "b"},
    {"<think>a</</think>b", "a</", "b"},
    {"<think>a</think></think>b", "a", "</think>b"},
    {"<think>a<think>b</think>c", "a<think>b", "c"},
    {"<thinking>a</think>", "", "<thinking>a</think>"},
    {"<thin>a</think>", "", "<thin>a</think>"},
    {"x<think>a</think>b", "", "x<think>a</think>b"},
    {"</think>b", "", "</think>b"},
    {"<think>a</think>b<think>c</think>d", "a", "b<think>c</think>d"},
    // Space of any kind goes, behind both tags.
    {"\xc2\xa0\xe3\x80\x80<think>\xe3\x80\x80 a\xe3\x80\x80</think>\xc2\xa0\xe2\x80\xa8 b", "a\xe3\x80\x80",
     "b"},
    {"<think>\xe3\x81\x82</think>\xe3\x81\x84", "\xe3\x81\x82", "\xe3\x81\x84"},
    // Bytes that are no characters are no space.
    {"\xe3\x80x", "", "\xe3\x80x"},
    {"<think>\xe3\x80x</think>\xe3y", "\xe3\x80x", "\xe3y"},
    // What is held back when the text ends does not count.
    {"<", "", ""},
    {"  <thi", "", ""},
    {"  ", "", ""},
    {"<think>", "", ""},
    {"<think>a</thi", "a", ""},
    // The prompt has opened the thinking already.
    {"Hm.</think>Hello.", "Hm.", "Hello.", "<|assistant|><think>"},
    {"\nHm.\n</think>\nHello.", "Hm.\n", "Hello.", "<|assistant|><think>\n \n"},
    {"<think>Hm.</think>Hello.", "<think>Hm.", "Hello.", "<think>"},
    {"Hm.</think>Hello.", "", "Hm.</think>Hello.", "<think>\n\n</think>\n\n"},
    {"<think>a</think>b", "a", "b", "<think"},
};

void check(const Case& c, const std::vector<std::string_view>& pieces) {
  ThinkingParser parser("<think>", "</think>", c.prompt);
  std::string thinking, content;
  for (const std::string_view piece : pieces) {
    const ThinkingParser::Parts parts = parser.feed(piece);
    // Thinking never comes after content.
    EXPECT_TRUE(parts.thinking.empty() || content.empty()) << c.text;
    thinking += parts.thinking;
    content += parts.content;
  }
  EXPECT_EQ(thinking, c.thinking) << c.text;
  EXPECT_EQ(content, c.content) << c.text;
}

TEST(ThinkingParser, OneByteAtATime) {
  for (const Case& c : kCases) {
    const std::string_view text = c.text;
    std::vector<std::string_view> pieces;
    for (size_t i = 0; i < text.size(); ++i) pieces.push_back(text.substr(i, 1));
    check(c, pieces);
  }
}

TEST(ThinkingParser, EverySplitInThree) {
  for (const Case& c : kCases) {
    const std::string_view text = c.text;
    for (size_t i = 0; i <= text.size(); ++i)
      for (size_t j = i; j <= text.size(); ++j)
        check(c, {text.substr(0, i), text.substr(i, j - i), text.substr(j)});
  }
}

TEST(ThinkingParser, EverySplitOfAShortText) {
  const Case c{" <a>x</b> y", "x", "y"};
  const std::string_view text = c.text;
  const size_t n = text.size() - 1;
  for (size_t cuts = 0; cuts < size_t{1} << n; ++cuts) {
    ThinkingParser parser("<a>", "</b>", "");
    std::string thinking, content;
    for (size_t start = 0, i = 0; i < text.size(); ++i) {
      if (i < n && (cuts >> i & 1) == 0) continue;
      const auto parts = parser.feed(text.substr(start, i + 1 - start));
      thinking += parts.thinking;
      content += parts.content;
      start = i + 1;
    }
    ASSERT_EQ(thinking, c.thinking) << cuts;
    ASSERT_EQ(content, c.content) << cuts;
  }
}

TEST(ThinkingParser, StreamsWhatIsCertain) {
  ThinkingParser parser("<think>", "</think>", "");
  EXPECT_EQ(parser.feed("<think>\nab").thinking, "ab");
  EXPECT_EQ(parser.feed("c <").thinking, "c ");
  EXPECT_EQ(parser.feed("/th").thinking, "");
  EXPECT_EQ(parser.feed("e").thinking, "</the");
  EXPECT_EQ(parser.feed("</think>").thinking, "");
  EXPECT_EQ(parser.feed("\n").content, "");
  EXPECT_EQ(parser.feed("x").content, "x");
  EXPECT_EQ(parser.feed(" <think>").content, " <think>");
}

TEST(ThinkingParser, TagsThatOverlapThemselves) {
  ThinkingParser parser("aab", "xxy", "");
  std::string thinking, content;
  for (const char c : std::string_view("aabxxxxyz")) {
    const auto parts = parser.feed(std::string_view(&c, 1));
    thinking += parts.thinking;
    content += parts.content;
  }
  EXPECT_EQ(thinking, "xx");
  EXPECT_EQ(content, "z");
}

}  // namespace
}  // namespace quipu
