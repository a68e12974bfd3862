// Small vocabularies made by hand: what each rule does.
#include "tokenizer/tokenizer.h"

#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "tokenizer/hand_made_vocab.h"

namespace quipu {
namespace {

using namespace test;  // the hand-made vocabularies' helpers

// Merging ---------------------------------------------------------------------------------------------

TEST(Merges, SmallestRankFirstThenLeftmost) {
  SmallVocab v = bytes_vocab();
  const Token bc = join(v, "b", "c"), ab = join(v, "a", "b"), aa = join(v, "a", "a");
  const Loaded t(v.bytes());
  EXPECT_EQ(encode(t, "abc"), (Ids{'a', bc}));
  EXPECT_EQ(encode(t, "ab"), Ids{ab});
  EXPECT_EQ(encode(t, "aaa"), (Ids{aa, 'a'}));
  EXPECT_EQ(encode(t, "aaaa"), (Ids{aa, aa}));
}

TEST(Merges, LinesThatAreNoRuleKeepTheirPlace) {
  SmallVocab v = bytes_vocab();
  v.merges = {"", "a", "a ", " a", "  "};  // of these only none names a pair
  const Token ab = join(v, "a", "b");
  v.merges.push_back("b a");  // makes a text that is no token
  v.merges.push_back("a b");  // once more: the first counts
  const Loaded t(v.bytes());
  ASSERT_TRUE(t.tokenizer);
  EXPECT_EQ(encode(t, "ab"), Ids{ab});
  EXPECT_EQ(encode(t, "aba"), (Ids{ab, 'a'}));
  EXPECT_EQ(encode(t, "ba"), (Ids{'b', 'a'}));  // joined, and for want of a token taken apart again
}

// A piece that no token stands for: its letters of one byte come out, the rest is dropped without a word.
TEST(Merges, WithoutTokensForAllBytes) {
  SmallVocab v;
  v.tokens = {"a", "b", "ab", "\xC4\xA0"};  // the last is the space
  v.merges = {"a b", "\xC4\xA0 a", "ab c"};
  const Loaded t(v.bytes());
  EXPECT_EQ(encode(t, "ab"), Ids{2});
  EXPECT_EQ(encode(t, "abz"), Ids{2});
  EXPECT_EQ(encode(t, "zzz"), Ids{});
  EXPECT_EQ(encode(t, "abc"), (Ids{0, 1}));  // "abc" is made, but is no token
  EXPECT_EQ(encode(t, "b a"), (Ids{1, 0}));  // so is " a", whose space is no single byte
  EXPECT_EQ(encode(t, "b b"), (Ids{1, 3, 1}));
}

TEST(Merges, WholePiecesWhereThePreTokenizerSaysSo) {
  SmallVocab v = bytes_vocab();
  const Token abc = add(v, "abc");  // a token that no rule makes
  EXPECT_EQ(encode(Loaded(v.bytes()), "abc"), bytes_of("abc"));
  v.pre = "llama-bpe";
  EXPECT_EQ(encode(Loaded(v.bytes()), "abc"), Ids{abc});
}

// The heap for long pieces against the plainest form of the rule, over random rules and texts.
TEST(Merges, LongPiecesAreMergedLikeShortOnes) {
  std::mt19937 random(3);
  for (int round = 0; round < 30; ++round) {
    SmallVocab v = bytes_vocab();
    std::vector<std::string> parts = {"a", "b", "c", "d"};
    while (v.merges.size() < 40) {
      const std::string left = parts[random() % parts.size()], right = parts[random() % parts.size()];
      if (std::find(v.tokens.begin(), v.tokens.end(), left + right) != v.tokens.end()) continue;
      join(v, left, right);
      parts.push_back(left + right);
    }
    const Loaded t(v.bytes());
    for (const size_t n : {1u, 2u, 39u, 40u, 41u, 42u, 100u, 700u}) {
      std::string text;
      for (size_t i = 0; i < n; ++i) text += static_cast<char>('a' + random() % (round % 4 + 1));
      std::vector<std::string> symbols;
      for (const char c : text) symbols.emplace_back(1, c);
      for (;;) {
        size_t best_rank = v.merges.size(), best_at = 0;
        for (size_t i = 0; i + 1 < symbols.size(); ++i) {
          const auto rule = std::find(v.merges.begin(), v.merges.end(), symbols[i] + " " + symbols[i + 1]);
          const auto rank = static_cast<size_t>(rule - v.merges.begin());
          if (rank < best_rank) best_rank = rank, best_at = i;
        }
        if (best_rank == v.merges.size()) break;
        symbols[best_at] += symbols[best_at + 1];
        symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best_at) + 1);
      }
      Ids want;
      for (const std::string& s : symbols)
        want.push_back(static_cast<Token>(std::find(v.tokens.begin(), v.tokens.end(), s) - v.tokens.begin()));
      ASSERT_EQ(encode(t, text), want) << text;
    }
  }
}

// Special tokens --------------------------------------------------------------------------------------

TEST(Special, ControlTokensOnlyWhereTheyAreParsed) {
  SmallVocab v = bytes_vocab();
  const Token control = add(v, "<c>", kControlType), user = add(v, "<u>", kUserType),
              unknown = add(v, "<k>", kUnknownType);
  add(v, "<n>", kNormalType);
  add(v, "<x>", kUnusedType);
  const Loaded t(v.bytes());
  EXPECT_EQ(encode(t, "a<c>b"), (Ids{'a', control, 'b'}));
  EXPECT_EQ(encode(t, "a<c>b", false), bytes_of("a<c>b"));
  EXPECT_EQ(encode(t, "<u><u>", false), (Ids{user, user}));
  EXPECT_EQ(encode(t, "<k>"), Ids{unknown});
  EXPECT_EQ(encode(t, "<k>", false), bytes_of("<k>"));
  EXPECT_EQ(encode(t, "<n><x>"), bytes_of("<n><x>"));
  EXPECT_EQ(encode(t, "<c"), bytes_of("<c"));
  EXPECT_EQ(encode(t, ""), Ids{});
}

TEST(Special, TheLongestWinsWhereverItBegins) {
  SmallVocab v = bytes_vocab();
  const Token ab = add(v, "ab", kUserType), bcd = add(v, "bcd", kUserType), d = 'd';
  v.types['d'] = kUserType;
  const Loaded t(v.bytes());
  EXPECT_EQ(encode(t, "abcd"), (Ids{'a', bcd}));
  EXPECT_EQ(encode(t, "abcabcdd"), (Ids{ab, 'c', 'a', bcd, d}));
}

TEST(Special, TextOnBothSidesIsCutApart) {
  SmallVocab v = bytes_vocab();
  const Token xy = join(v, "x", "y"), special = add(v, "<s>", kControlType);
  const Loaded t(v.bytes());
  EXPECT_EQ(encode(t, "x<s>y"), (Ids{'x', special, 'y'}));
  EXPECT_EQ(encode(t, "xy<s>xy"), (Ids{xy, special, xy}));
}

TEST(Special, WhiteSpaceThatBelongsToAToken) {
  SmallVocab v = bytes_vocab();
  v.pre = "jina-v2-code";
  const Token mask = add(v, "<mask>", kControlType);
  const Loaded left(v.bytes());
  EXPECT_EQ(encode(left, "a \t\n<mask> b"), (Ids{'a', mask} + bytes_of(" b")));
  EXPECT_EQ(encode(left, " <mask><mask>"), (Ids{mask, mask}));

  SmallVocab phi = bytes_vocab();
  const Token end = add(phi, "<|end|>", kControlType), unk = add(phi, "<unk>", kUnknownType),
              text_end = add(phi, "<|endoftext|>", kControlType), eos = add(phi, "</s>", kNormalType);
  phi.more = [](gguf::Writer& w) { w.add_string("general.name", "Phi-3 mini"); };
  const Loaded right(phi.bytes());
  EXPECT_EQ(encode(right, "a <|end|> \r\n\v\fb"), (bytes_of("a ") + Ids{end, 'b'}));
  EXPECT_EQ(encode(right, "<|end|>   "), Ids{end});
  EXPECT_EQ(encode(right, "<|end|> <|end|>"), (Ids{end, end}));
  EXPECT_EQ(encode(right, "<unk> b"), (Ids{unk} + bytes_of(" b")));
  EXPECT_EQ(encode(right, "<|endoftext|> b"), (Ids{text_end} + bytes_of(" b")));
  EXPECT_EQ(encode(right, "</s> b"), (Ids{eos, 'b'}));  // an end by its text, and so a control token
  EXPECT_EQ(encode(right, "<|end|>\xC2\xA0"), (Ids{end} + bytes_of("\xC2\xA0")));  // ASCII white space only
}

TEST(Special, BeginningAndEnd) {
  SmallVocab v = bytes_vocab();
  const Token bos = add(v, "<s>", kControlType), eos = add(v, "</s>", kControlType);
  const auto with = [&](bool add_bos, bool add_eos) {
    v.more = [=](gguf::Writer& w) {
      w.add_uint32("tokenizer.ggml.bos_token_id", static_cast<uint32_t>(bos));
      w.add_uint32("tokenizer.ggml.eos_token_id", static_cast<uint32_t>(eos));
      w.add_bool("tokenizer.ggml.add_bos_token", add_bos);
      w.add_bool("tokenizer.ggml.add_eos_token", add_eos);
    };
    return v.bytes();
  };
  const Loaded none(with(false, false)), both(with(true, true));
  EXPECT_EQ(none->encode("a", true, true), Ids{'a'});
  EXPECT_EQ(both->encode("a", true, true), (Ids{bos, 'a', eos}));
  EXPECT_EQ(both->encode("a", false, true), Ids{'a'});
  EXPECT_EQ(both->encode("", true, true), (Ids{bos, eos}));
  EXPECT_EQ(both->encode("<s>a", true, true), (Ids{bos, bos, 'a', eos}));
  EXPECT_EQ(both->decode(Ids{bos, 'a', eos}, true, true), "a");
  EXPECT_EQ(both->decode(Ids{bos, 'a', eos}, false, true), "<s>a</s>");
  EXPECT_EQ(both->decode(Ids{bos, 'a', eos}, false, false), "a");
  EXPECT_EQ(none->decode(Ids{bos, 'a', eos}, true, true), "<s>a</s>");
  EXPECT_EQ(both->decode(Ids{}, true, true), "");
  EXPECT_EQ(both->decode(Ids{bos}, true, true), "");
}

// Thousands of them, and a text that holds each: no part may be lost.
TEST(Special, Many) {
  SmallVocab v = bytes_vocab();
  Ids want;
  std::string text;
  for (int i = 0; i < 3000; ++i) {
    const std::string name = fmt::format("<unused{}>", i);
    want.push_back(add(v, name, kControlType));
    text += name;
  }
  EXPECT_EQ(encode(Loaded(v.bytes()), text), want);
}

// Each is the beginning of the next.
TEST(Special, OneInsideTheOther) {
  SmallVocab v = bytes_vocab();
  v.types['<'] = kUserType;
  Ids nested = {'<'};
  for (size_t n = 2; n <= 64; ++n) nested.push_back(add(v, std::string(n, '<'), kUserType));
  const Loaded t(v.bytes());
  EXPECT_EQ(encode(t, std::string(64 * 3 + 5, '<')), (Ids{nested[63], nested[63], nested[63], nested[4]}));
  EXPECT_EQ(encode(t, "a" + std::string(7, '<')), (Ids{'a', nested[6]}));
}

TEST(Special, EndsOfGeneration) {
  SmallVocab v = bytes_vocab();
  const Token end = add(v, "<|end|>", kControlType), im_end = add(v, "<|im_end|>", kNormalType),
              pad = add(v, "<|fim_pad|>", kControlType);
  const auto ends = [](const Loaded& t) {
    return Ids(t->end_of_generation().begin(), t->end_of_generation().end());
  };
  v.more = [](gguf::Writer& w) { w.add_uint32("tokenizer.ggml.eos_token_id", 7); };
  {
    const Loaded t(v.bytes());
    EXPECT_EQ(ends(t), (Ids{7, end, im_end, pad}));
    EXPECT_TRUE(t->is_control(im_end));  // made one by its text
    EXPECT_EQ(t->special().eot, im_end);
    EXPECT_EQ(encode(t, "<|im_end|>"), Ids{im_end});
    EXPECT_EQ(t->piece(im_end, false), "");
  }
  // In gpt-oss's format <|end|> only ends a part, and the marks of its parts are text.
  const Token returned = add(v, "<|return|>", kControlType), call = add(v, "<|call|>", kControlType),
              channel = add(v, "<|channel|>", kControlType);
  {
    const Loaded t(v.bytes());
    EXPECT_EQ(ends(t), (Ids{7, im_end, pad, returned, call}));
    EXPECT_EQ(t->piece(end, false), "<|end|>");
    EXPECT_EQ(t->piece(channel, false), "<|channel|>");
    EXPECT_EQ(encode(t, "<|channel|>", false), Ids{channel});
  }
  const Token s = add(v, "</s>", kControlType);
  EXPECT_TRUE(Loaded(v.bytes())->is_end_of_generation(s));
  add(v, "<|tool_response>", kControlType);
  EXPECT_FALSE(Loaded(v.bytes())->is_end_of_generation(s));
}

// Text back -------------------------------------------------------------------------------------------

TEST(Pieces, ByTypeOfToken) {
  SmallVocab v = bytes_vocab();
  const Token byte = add(v, "<0x41>", kByteType), no_byte = add(v, "<0xZZ>", kByteType),
              unused = add(v, "<x>", kUnusedType), user = add(v, "\xC4\xA0u", kUserType),
              control = add(v, "<c>", kControlType), foreign = add(v, "a\xE4\xB8\xAD", kNormalType),
              strange = add(v, "<type99>", 99);
  const Loaded t(v.bytes());
  EXPECT_EQ(t->piece(byte, false), "A");
  EXPECT_EQ(t->piece(no_byte, false), "");
  EXPECT_EQ(t->piece(unused, true), "");
  EXPECT_EQ(t->piece(user, false), "\xC4\xA0u");  // as it stands, not through the alphabet
  EXPECT_EQ(t->piece(control, false), "");
  EXPECT_EQ(t->piece(control, true), "<c>");
  EXPECT_EQ(t->piece(foreign, false), "a[UNK_BYTE_0xe4b8ada\xE4\xB8\xAD]");
  EXPECT_EQ(t->piece(strange, true), "");
  for (unsigned b = 0; b < 256; ++b)
    EXPECT_EQ(t->piece(static_cast<Token>(b), false), std::string(1, static_cast<char>(b)));
}

TEST(Pieces, OneSpaceOffTheFrontWhereTheFileSaysSo) {
  SmallVocab v = bytes_vocab();
  v.more = [](gguf::Writer& w) { w.add_bool("tokenizer.ggml.add_space_prefix", true); };
  const Loaded t(v.bytes());
  EXPECT_EQ(t->decode(bytes_of("  a"), false, true), " a");
  EXPECT_EQ(t->decode(bytes_of("a b"), false, true), "a b");
}

// Any bytes -------------------------------------------------------------------------------------------

TEST(AnyBytes, ComeBackUnlessTheyAreInvalid) {
  const Loaded t(bytes_vocab().bytes());
  const std::string nul("a\0\0b", 4);
  EXPECT_EQ(encode(t, nul), bytes_of(nul));
  EXPECT_EQ(encode(t, "\xFF\xE2\x82z"), bytes_of("\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDz"));
  EXPECT_EQ(encode(t, std::string("\xC0\x80", 2)), Ids{0});
  std::mt19937 random(11);
  for (int round = 0; round < 300; ++round) {
    std::string text(random() % 200, ' ');
    for (char& c : text) c = static_cast<char>(random() % (round % 2 == 0 ? 256 : 128));
    std::string buffer;
    const std::string decoded = t->decode(encode(t, text), false, true);
    // Nothing was lost: what comes back goes in again and stays (the spaces before punctuation are cleaned
    // once).
    EXPECT_EQ(t->decode(encode(t, decoded), false, true), decoded);
  }
}

// Large inputs of the kinds that make a quadratic tokenizer stand still. That they end is the test.
TEST(AnyBytes, LargeInputs) {
  SmallVocab v = bytes_vocab();
  std::string word = "a";
  for (int i = 0; i < 8; ++i, word += word) join(v, word, word);
  std::string spaces = "\xC4\xA0";
  for (int i = 0; i < 8; ++i, spaces += spaces) join(v, spaces, spaces);
  add(v, "<|s|>", kControlType);
  for (const char* pre : {"gpt-2", "llama-bpe", "smollm"}) {
    v.pre = pre;
    v.more = [](gguf::Writer& w) { w.add_bool("tokenizer.ggml.add_bos_token", false); };
    const Loaded t(v.bytes());
    for (const std::string unit :
         {"a", " ", "\xF0\x9F\x98\x80", "\n", " \n", "1", "'", "<|s|>", "<|s", "\xFF"}) {
      constexpr size_t kBytes = 5 << 18;  // more than the longest piece that is merged in one go
      std::string text;
      while (text.size() < kBytes) text += unit;
      const Ids ids = encode(t, text);
      std::string back;
      for (const Token id : ids) back += t->piece(id, true);
      std::string expected;
      if (unit == "\xFF")
        for (size_t i = 0; i < text.size(); ++i) expected += "\xEF\xBF\xBD";
      EXPECT_TRUE(back == (expected.empty() ? text : expected)) << pre << ": " << unit;
    }
  }
}

// One tokenizer serves all threads.
TEST(AnyBytes, OnSeveralThreads) {
  SmallVocab v = bytes_vocab();
  join(v, "a", "b");
  add(v, "<|s|>", kControlType);
  const Loaded t(v.bytes());
  const std::string text = "abab <|s|> it's 12345\n\n" + std::string(100, 'b');
  const Ids want = encode(t, text);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int round = 0; round < 50; ++round) {
        const Ids ids = t->encode(text, false, true);
        EXPECT_EQ(ids, want);
        EXPECT_EQ(t->decode(ids, false, true), text);
      }
    });
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace quipu
