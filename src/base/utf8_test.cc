#include "base/utf8.h"

#include <gtest/gtest.h>

namespace quipu {
namespace {

TEST(Utf8, EveryCharacterComesBack) {
  for (char32_t c = 0; c <= 0x10ffff; ++c) {
    if (c >= 0xd800 && c <= 0xdfff) continue;
    std::string text;
    append_code_point(text, c);
    const Utf8Char back = decode_utf8(text + "x");
    ASSERT_TRUE(back.valid) << std::hex << static_cast<uint32_t>(c);
    ASSERT_EQ(back.value, c);
    ASSERT_EQ(back.bytes, text.size());
  }
}

TEST(Utf8, WhatIsNoCharacterIsReplacedByItsLongestPart) {
  const std::string r = "\xef\xbf\xbd";
  EXPECT_EQ(to_valid_utf8("a\xff"
                          "b"),
            "a" + r + "b");
  EXPECT_EQ(to_valid_utf8("\x80\x80"), r + r);
  EXPECT_EQ(to_valid_utf8("\xc0\xaf"), r + r);                  // overlong
  EXPECT_EQ(to_valid_utf8("\xe0\x80\xaf"), r + r + r);          // overlong
  EXPECT_EQ(to_valid_utf8("\xed\xa0\x80"), r + r + r);          // a surrogate
  EXPECT_EQ(to_valid_utf8("\xf4\x90\x80\x80"), r + r + r + r);  // above U+10FFFF
  EXPECT_EQ(to_valid_utf8("\xf5\x80"), r + r);
  EXPECT_EQ(to_valid_utf8("\xe2\x82"), r);  // cut off
  EXPECT_EQ(to_valid_utf8("\xe2\x82z"), r + "z");
  EXPECT_EQ(to_valid_utf8("\xf0\x9f\x9a"), r);
  EXPECT_EQ(to_valid_utf8("\xf0\x9f\xc3\xa9"), r + "\xc3\xa9");
  EXPECT_EQ(to_valid_utf8(""), "");
}

}  // namespace
}  // namespace quipu
