// UTF-8 coming in (lenient) and going out (strict, never half a character).
#include "tokenizer/utf8.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "tokenizer/clean_spaces.h"
#include "tokenizer/tokenizer.h"

namespace quipu {
namespace {

constexpr const char* kBad = "\xEF\xBF\xBD";

std::string bad(int n) {
  std::string out;
  for (int i = 0; i < n; ++i) out += kBad;
  return out;
}

// Strict UTF-8, decided apart from the code under test: by decoding and encoding again.
bool is_valid(const std::string& s) {
  for (size_t at = 0; at < s.size();) {
    const CodePoint c = decode_lenient(std::string_view(s).substr(at));
    if (c.length == 0 || (c.value >= 0xD800 && c.value <= 0xDFFF)) return false;
    std::string again;
    append_utf8(again, c.value);
    if (again != s.substr(at, c.length)) return false;
    at += c.length;
  }
  return true;
}

std::string streamed(const std::vector<std::string>& pieces) {
  Utf8Stream stream;
  std::string out;
  for (const std::string& p : pieces) {
    const std::string now = stream.push(p);
    EXPECT_TRUE(is_valid(now));
    out += now;
  }
  return out + stream.finish();
}

TEST(Normalise, ValidTextIsNotCopied) {
  const std::string text = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\x00z";
  std::string buffer;
  EXPECT_EQ(normalise_utf8(text, buffer).data(), text.data());
  EXPECT_EQ(normalise_utf8("", buffer), "");
}

TEST(Normalise, EachBadByteIsOneReplacement) {
  std::string buffer;
  EXPECT_EQ(normalise_utf8("\x80", buffer), bad(1));
  EXPECT_EQ(normalise_utf8("a\xFFz", buffer), "a" + bad(1) + "z");
  EXPECT_EQ(normalise_utf8("\xE2\x82", buffer), bad(2));
  EXPECT_EQ(normalise_utf8("\xE2\x82z", buffer), bad(2) + "z");
  EXPECT_EQ(normalise_utf8("\xF4\x90\x80\x80", buffer), bad(4));  // above U+10FFFF
  EXPECT_EQ(normalise_utf8("\xF8\x88\x80\x80\x80", buffer), bad(5));
  EXPECT_EQ(normalise_utf8("\xC3", buffer), bad(1));
}

TEST(Normalise, OverlongFormsAreTheirCharacterAndSurrogatesPass) {
  std::string buffer;
  EXPECT_EQ(normalise_utf8("\xC1\x81", buffer), "A");
  EXPECT_EQ(normalise_utf8("\xE0\x81\x81", buffer), "A");
  EXPECT_EQ(normalise_utf8("\xF0\x80\x83\xA9", buffer), "\xC3\xA9");
  EXPECT_EQ(normalise_utf8(std::string("\xC0\x80", 2), buffer), std::string(1, '\0'));
  EXPECT_EQ(normalise_utf8("\xED\xA0\x80", buffer), "\xED\xA0\x80");
}

TEST(Stream, CharactersComeWhole) {
  Utf8Stream s;
  EXPECT_EQ(s.push("a\xF0"), "a");
  EXPECT_EQ(s.push("\x9F"), "");
  EXPECT_EQ(s.push("\x98"), "");
  EXPECT_EQ(s.push("\x80z"), "\xF0\x9F\x98\x80z");
  EXPECT_EQ(s.push(""), "");
  EXPECT_EQ(s.finish(), "");
}

TEST(Stream, WhatNeverCompletesIsReplaced) {
  EXPECT_EQ(streamed({"\xE2\x82"}), bad(2));
  EXPECT_EQ(streamed({"\xE2", "z"}), bad(1) + "z");
  EXPECT_EQ(streamed({"\xE2\x82", "\xE2\x82\xAC"}), bad(2) + "\xE2\x82\xAC");
  EXPECT_EQ(streamed({"\x80\x80"}), bad(2));
  EXPECT_EQ(streamed({"\xC1\x81"}), bad(2));              // overlong
  EXPECT_EQ(streamed({"\xE0", "\x81", "\x81"}), bad(3));  // overlong
  EXPECT_EQ(streamed({"\xED\xA0\x80"}), bad(3));          // a surrogate
  EXPECT_EQ(streamed({"\xF4", "\x90\x80\x80"}), bad(4));  // above U+10FFFF
  EXPECT_EQ(streamed({"\xF5", "\xFF"}), bad(2));
  EXPECT_EQ(streamed({std::string("a\0b", 3)}), std::string("a\0b", 3));
}

TEST(Stream, NothingIsHeldThatCannotBecomeACharacter) {
  Utf8Stream s;
  EXPECT_EQ(s.push("\xED\xA0"), bad(2));  // any continuation would be a surrogate
  EXPECT_EQ(s.push("\xC0"), bad(1));
  EXPECT_EQ(s.push("\xF4\x90"), bad(2));
  EXPECT_EQ(s.finish(), "");
}

TEST(Stream, CanBeUsedAgainAfterItsEnd) {
  Utf8Stream s;
  EXPECT_EQ(s.push("\xE2"), "");
  EXPECT_EQ(s.finish(), bad(1));
  EXPECT_EQ(s.push("\xE2\x82\xAC"), "\xE2\x82\xAC");
}

// Every character, cut at every place; and how bytes are cut never changes the text.
TEST(Stream, EveryCharacterAtEveryCut) {
  for (char32_t c = 0; c < 0x110000; c += c < 0x3000 ? 1 : 0x1F1) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    std::string text;
    append_utf8(text, c);
    for (size_t cut = 0; cut <= text.size(); ++cut)
      ASSERT_EQ(streamed({text.substr(0, cut), text.substr(cut)}), text) << static_cast<uint32_t>(c);
  }
}

TEST(Stream, CutsDoNotMatter) {
  std::mt19937 random(7);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes;
    for (size_t n = random() % 24; bytes.size() < n;) {
      switch (random() % 4) {
        case 0:
          bytes += static_cast<char>(random());
          break;
        case 1:
          bytes += static_cast<char>(0x80 | random() % 0x40);
          break;
        case 2:
          bytes += static_cast<char>(0xC0 | random() % 0x40);
          break;
        default:
          append_utf8(bytes, random() % 0xD800);
      }
    }
    std::vector<std::string> pieces;
    for (size_t at = 0; at < bytes.size();) {
      const size_t n = 1 + random() % 3;
      pieces.push_back(bytes.substr(at, n));
      at += n;
    }
    ASSERT_EQ(streamed(pieces), streamed({bytes}));
    if (is_valid(bytes)) {
      ASSERT_EQ(streamed(pieces), bytes);
    }
  }
}

TEST(CleanSpaces, Rules) {
  const auto clean = [](std::string s) {
    clean_spaces(s);
    return s;
  };
  EXPECT_EQ(clean("Why ? No !  Yes . So , ok"), "Why? No!  Yes. So, ok");
  EXPECT_EQ(clean("it 's I 'm we 're they 've you 'll"), "it's I'm we're they've you 'll");
  EXPECT_EQ(clean("rock ' roll"), "rock'roll");
  EXPECT_EQ(clean(" ' ' "), "'' ");
  EXPECT_EQ(clean("a  . b"), "a . b");
  EXPECT_EQ(clean(""), "");
  EXPECT_EQ(clean(" "), " ");
  EXPECT_EQ(clean(" ."), ".");
}

}  // namespace
}  // namespace quipu
