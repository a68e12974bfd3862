// What no tokenizer can be made of, and what damaged or hostile vocabularies lead to.
#include <gtest/gtest.h>

#include "tokenizer/hand_made_vocab.h"
#include "tokenizer/tokenizer.h"

namespace quipu {
namespace {

using namespace test;  // the hand-made vocabularies' helpers

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

}  // namespace
}  // namespace quipu
