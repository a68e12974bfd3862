// Small vocabularies made by hand: what each rule does, and what damaged or hostile ones lead to.
#include "tokenizer/tokenizer.h"

#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "tokenizer/byte_alphabet.h"
#include "tokenizer/test_vocabs.h"

namespace quipu {
namespace {

using test::Loaded;
using test::SmallVocab;
using Ids = std::vector<Token>;

constexpr int32_t kNormalType = 1, kUnknownType = 2, kControlType = 3, kUserType = 4, kUnusedType = 5,
                  kByteType = 6;

// All 256 bytes, ids 0 to 255, in the order of the bytes.
SmallVocab bytes_vocab() {
  SmallVocab v;
  for (unsigned b = 0; b < 256; ++b) v.tokens.emplace_back(letter_of_byte(static_cast<uint8_t>(b)));
  v.types.assign(256, kNormalType);
  return v;
}

Token add(SmallVocab& v, const std::string& text, int32_t type = kNormalType) {
  v.tokens.push_back(text);
  v.types.push_back(type);
  return static_cast<Token>(v.tokens.size() - 1);
}

Token join(SmallVocab& v, const std::string& left, const std::string& right) {
  v.merges.push_back(left + " " + right);
  return add(v, left + right);
}

Ids bytes_of(std::string_view text) {
  Ids out;
  for (const char c : text) out.push_back(static_cast<unsigned char>(c));
  return out;
}

Ids operator+(Ids a, const Ids& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

Ids encode(const Loaded& t, std::string_view text, bool parse_special = true) {
  return t->encode(text, false, parse_special);
}

std::string failure(const gguf::Writer& w, Code* code = nullptr) {
  const Loaded loaded(w);
  if (loaded.tokenizer) return "(accepted)";
  if (code != nullptr) *code = loaded.tokenizer.error().code;
  EXPECT_EQ(loaded.tokenizer.error().message.find('\n'), std::string::npos);
  return loaded.tokenizer.error().message;
}

std::string failure(const SmallVocab& v) {
  const Loaded loaded(v.bytes());
  return loaded.tokenizer ? "(accepted)" : loaded.tokenizer.error().message;
}

// What there is no tokenizer for ----------------------------------------------------------------------

TEST(Load, OtherTokenizersAreNamed) {
  Code code{};
  gguf::Writer none;
  EXPECT_EQ(failure(none, &code), "the file has no tokenizer (tokenizer.ggml.model is missing)");
  EXPECT_EQ(code, Code::kUnsupported);
  gguf::Writer other;
  other.add_string("tokenizer.ggml.model", "llama");
  EXPECT_EQ(failure(other, &code),
            "the tokenizer 'llama' is not supported; supported is: gpt2 (byte-level BPE)");
  EXPECT_EQ(code, Code::kUnsupported);
  gguf::Writer wrong;
  wrong.add_uint32("tokenizer.ggml.model", 1);
  EXPECT_EQ(failure(wrong), "metadata key 'tokenizer.ggml.model' is an integer; it must be a string");
}

TEST(Load, UnknownPreTokenizersAreNamed) {
  SmallVocab v = bytes_vocab();
  v.pre = "from-mars";
  EXPECT_EQ(failure(v).find("the pre-tokenizer 'from-mars' is not supported; supported are: llama-bpe, "),
            0u);
  gguf::Writer w;
  w.add_string("tokenizer.ggml.model", "gpt2");
  EXPECT_EQ(failure(w).find("the file names no pre-tokenizer (tokenizer.ggml.pre)"), 0u);
}

// Damaged vocabularies --------------------------------------------------------------------------------

TEST(Load, DamagedVocabularies) {
  const auto with = [](auto change) {
    gguf::Writer w;
    w.add_string("tokenizer.ggml.model", "gpt2");
    w.add_string("tokenizer.ggml.pre", "gpt-2");
    change(w);
    return failure(w);
  };
  const std::vector<std::string> tokens = {"a", "b"}, twice = {"a", "b", "a"}, nothing;
  const auto good_tokens = [&](gguf::Writer& w) { w.add_strings("tokenizer.ggml.tokens", tokens); };
  const auto good_merges = [&](gguf::Writer& w) { w.add_strings("tokenizer.ggml.merges", nothing); };
  EXPECT_EQ(with([&](auto& w) { good_tokens(w), good_merges(w); }), "(accepted)");
  EXPECT_EQ(with(good_merges), "the file names a tokenizer but has no tokenizer.ggml.tokens");
  EXPECT_EQ(with([&](auto& w) { w.add_int32s("tokenizer.ggml.tokens", std::vector<int32_t>{1}); }),
            "tokenizer.ggml.tokens is not an array of strings");
  EXPECT_EQ(with([&](auto& w) { w.add_string("tokenizer.ggml.tokens", "a"); }),
            "metadata key 'tokenizer.ggml.tokens' is a string; it must be an array");
  EXPECT_EQ(with([&](auto& w) { w.add_strings("tokenizer.ggml.tokens", nothing); }),
            "tokenizer.ggml.tokens is empty");
  EXPECT_EQ(with([&](auto& w) { w.add_strings("tokenizer.ggml.tokens", twice), good_merges(w); }),
            "tokenizer.ggml.tokens: tokens 0 and 2 have the same text");
  EXPECT_EQ(with(good_tokens),
            "a byte-pair vocabulary needs tokenizer.ggml.merges, which the file does not have");
  EXPECT_EQ(
      with([&](auto& w) { good_tokens(w), w.add_int32s("tokenizer.ggml.merges", std::vector<int32_t>{1}); }),
      "tokenizer.ggml.merges is not an array of strings");
  const auto types = [&](std::vector<int32_t> t) {
    return with(
        [&](auto& w) { good_tokens(w), good_merges(w), w.add_int32s("tokenizer.ggml.token_type", t); });
  };
  EXPECT_EQ(types({1}), "tokenizer.ggml.token_type has 1 entries for 2 tokens");
  EXPECT_EQ(types({1, 1, 1}), "(accepted)");
  EXPECT_EQ(types({99, -1}), "(accepted)");
  EXPECT_EQ(with([&](auto& w) {
              good_tokens(w), good_merges(w),
                  w.add_float32s("tokenizer.ggml.token_type", std::vector<float>{1, 1});
            }),
            "tokenizer.ggml.token_type is not an array of integers");
  EXPECT_EQ(with([&](auto& w) {
              good_tokens(w), good_merges(w), w.add_string("tokenizer.ggml.bos_token_id", "1");
            }),
            "metadata key 'tokenizer.ggml.bos_token_id' is a string; it must be an integer");
  EXPECT_EQ(
      with([&](auto& w) { good_tokens(w), good_merges(w), w.add_uint32("tokenizer.ggml.add_bos_token", 1); }),
      "metadata key 'tokenizer.ggml.add_bos_token' is an integer; it must be true or false");
}

TEST(Load, EmptyTokensGetAName) {
  SmallVocab v = bytes_vocab();
  const Token first = add(v, ""), second = add(v, "");
  const Loaded t(v.bytes());
  ASSERT_TRUE(t.tokenizer) << t.tokenizer.error().message;
  EXPECT_EQ(t->text(first), "[EMPTY_256]");
  EXPECT_EQ(t->text(second), "[EMPTY_257]");
  EXPECT_EQ(encode(t, "a"), bytes_of("a"));
  add(v, "[EMPTY_256]");
  EXPECT_EQ(failure(v), "tokenizer.ggml.tokens: tokens 256 and 258 have the same text");
}

TEST(Load, IdsOutsideTheVocabularyAreIgnored) {
  SmallVocab v = bytes_vocab();
  v.more = [](gguf::Writer& w) {
    w.add_uint32("tokenizer.ggml.bos_token_id", 256);
    w.add_uint32("tokenizer.ggml.eos_token_id", 0xffffffff);
    w.add_uint32("tokenizer.ggml.padding_token_id", 255);
    w.add_bool("tokenizer.ggml.add_bos_token", true);
  };
  const Loaded t(v.bytes());
  EXPECT_EQ(t->special().bos, 11);  // the default
  EXPECT_EQ(t->special().eos, 11);
  EXPECT_EQ(t->special().padding, 255);
  SmallVocab tiny;
  tiny.tokens = {"a"};
  const Loaded small(tiny.bytes());  // where 11 is none either
  EXPECT_EQ(small->special().bos, std::nullopt);
  EXPECT_EQ(small->encode("a", true, true), Ids{0});
  EXPECT_TRUE(small->end_of_generation().empty());
}

TEST(Load, IdsOutOfRangeAreHarmless) {
  const Loaded t(bytes_vocab().bytes());
  for (const Token bad : {-1, 256, INT32_MAX, INT32_MIN}) {
    EXPECT_EQ(t->piece(bad, true), "");
    EXPECT_EQ(t->text(bad), "");
    EXPECT_FALSE(t->is_control(bad));
    EXPECT_FALSE(t->is_end_of_generation(bad));
    EXPECT_EQ(t->decode(Ids{'a', bad, 'b'}, true, true), "ab");
  }
}

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
