#include "base/go_text.h"

#include <gtest/gtest.h>

namespace quipu {
namespace {

TEST(GoText, Printable) {
  for (const char32_t c : {U' ', U'a', U'~', U'é', U'日', U'🚲', U'\u0301', U'€', U'\ufffd'})
    EXPECT_TRUE(is_go_printable(c));
  for (const char32_t c :
       {U'\0', U'\t', U'\n', U'\x7f', U'\u0085', U'\u00a0', U'\u00ad', U'\u200b', U'\u200d', U'\u2028',
        U'\u3000', U'\ufeff', U'\ue000', U'\U000e0001', U'\U0010ffff'})
    EXPECT_FALSE(is_go_printable(c)) << std::hex << static_cast<uint32_t>(c);
}

TEST(GoText, Trim) {
  EXPECT_EQ(trim_white_space(" \t a b \r\n"), "a b");
  EXPECT_EQ(trim_white_space("\u00a0\u2003x\u3000\u0085"), "x");
  EXPECT_EQ(trim_white_space("é"), "é");
  EXPECT_EQ(trim_white_space("\u200bx"), "\u200bx");
  EXPECT_EQ(trim_white_space("x\xa0"), "x\xa0");  // no character
  EXPECT_EQ(trim_white_space("\xe3\x80"), "\xe3\x80");
  EXPECT_EQ(trim_white_space(" \u2029 "), "");
  EXPECT_EQ(trim_white_space(""), "");
}

TEST(GoText, Quote) {
  EXPECT_EQ(go_quote("<|im_end|>"), R"("<|im_end|>")");
  EXPECT_EQ(go_quote("a\"b\\c"), R"("a\"b\\c")");
  EXPECT_EQ(go_quote("\a\b\f\n\r\t\v"), R"("\a\b\f\n\r\t\v")");
  EXPECT_EQ(go_quote(std::string_view("\0\x1b\x7f", 3)), R"("\x00\x1b\x7f")");
  EXPECT_EQ(go_quote("é\u00a0\u200d🚲\U000e0001"), "\"é\\u00a0\\u200d🚲\\U000e0001\"");
  EXPECT_EQ(go_quote("\xff\xe2\x82"), R"("\xff\xe2\x82")");
}

}  // namespace
}  // namespace quipu
