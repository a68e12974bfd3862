#include "runner/embed.h"

#include <cmath>
#include <limits>

#include "runner/test_model.h"

namespace quipu::runner {
namespace {

// A token for each byte, and perhaps BOS and EOS around them.
class Bytes final : public Tokenizer {
 public:
  std::vector<Token> encode(std::string_view text, bool, bool) const override {
    std::vector<Token> out;
    for (const char c : text) out.push_back(static_cast<unsigned char>(c));
    return out;
  }
  std::string piece(Token, bool) const override { return {}; }
  std::string decode(std::span<const Token>, bool, bool) const override { return {}; }
  int32_t size() const override { return 300; }
  std::string_view text(Token) const override { return {}; }
  const SpecialTokens& special() const override { return tokens; }
  bool is_control(Token) const override { return false; }
  bool is_end_of_generation(Token) const override { return false; }
  std::span<const Token> end_of_generation() const override { return {}; }
  size_t memory_bytes() const override { return 0; }

  SpecialTokens tokens;
};

std::vector<Token> encoded(const Bytes& tok, const std::string& text, int64_t n_ctx) {
  const auto ids = encode_for_embedding(tok, text, n_ctx, true);
  EXPECT_TRUE(ids) << ids.error().message;
  return ids.value_or(std::vector<Token>());
}

std::string refused(const Bytes& tok, const std::string& text, int64_t n_ctx, bool may_truncate) {
  const auto ids = encode_for_embedding(tok, text, n_ctx, may_truncate);
  if (ids) return "fine";
  EXPECT_EQ(ids.error().code, Code::kInvalidArgument);
  return ids.error().message;
}

TEST(EmbedTokens, TheFrontStays) {
  const Bytes tok;
  EXPECT_EQ(encoded(tok, "abcde", 5), (std::vector<Token>{'a', 'b', 'c', 'd', 'e'}));
  EXPECT_EQ(encoded(tok, "abcde", 3), (std::vector<Token>{'a', 'b', 'c'}));
  EXPECT_EQ(refused(tok, "abcde", 5, false), "fine");
  EXPECT_EQ(refused(tok, "abcde", 4, false), "the input length exceeds the context length");
  EXPECT_EQ(refused(tok, "", 5, true), "an input has no tokens");
}

TEST(EmbedTokens, OnlyWhatIsAddedIsSubtracted) {
  Bytes tok;
  tok.tokens.bos = 256;
  tok.tokens.eos = 257;
  EXPECT_EQ(encoded(tok, "abcde", 5).size(), 5u) << "they are there, but are not added";
  tok.tokens.add_bos = true;
  EXPECT_EQ(encoded(tok, "abcde", 4), (std::vector<Token>{256, 'a', 'b', 'c'}));
  tok.tokens.add_eos = true;
  EXPECT_EQ(encoded(tok, "abcde", 4), (std::vector<Token>{256, 'a', 'b', 257}));
  EXPECT_EQ(encoded(tok, "", 4), (std::vector<Token>{256, 257}));
  EXPECT_EQ(refused(tok, "abc", 5, false), "fine");
  EXPECT_EQ(refused(tok, "abcd", 5, false), "the input length exceeds the context length");
  EXPECT_EQ(refused(tok, "abcd", 2, true), "input after truncation exceeds maximum context length");
  tok.tokens.bos = 'a';  // the text has it already
  EXPECT_EQ(encoded(tok, "abc", 4), (std::vector<Token>{'a', 'b', 'c', 257}));
  tok.tokens.bos = std::nullopt;
  EXPECT_EQ(encoded(tok, "abc", 4), (std::vector<Token>{'a', 'b', 'c', 257}));
}

double length(const std::vector<float>& v) {
  double sum = 0;
  for (const float x : v) sum += static_cast<double>(x) * x;
  return std::sqrt(sum);
}

TEST(ShapeEmbedding, NormalisesAndCuts) {
  const std::vector<float> raw = {3, 4, 12};
  std::vector<float> v = raw;
  ASSERT_TRUE(shape_embedding(v, true, 0));
  EXPECT_NEAR(v[2], 12.0 / 13, 1e-6);
  EXPECT_NEAR(length(v), 1, 1e-6);
  v = raw;
  ASSERT_TRUE(shape_embedding(v, true, 2));
  ASSERT_EQ(v.size(), 2u);
  EXPECT_NEAR(v[0], 0.6, 1e-6);
  EXPECT_NEAR(length(v), 1, 1e-6);
  v = raw;
  ASSERT_TRUE(shape_embedding(v, false, 2));
  EXPECT_EQ(v, (std::vector<float>{3, 4}));
  for (const int64_t all : {int64_t{0}, int64_t{3}, INT64_MAX}) {
    v = raw;
    ASSERT_TRUE(shape_embedding(v, false, all));
    EXPECT_EQ(v, raw);
  }
  v = {0, 0};
  ASSERT_TRUE(shape_embedding(v, true, 1));
  EXPECT_EQ(v, (std::vector<float>{0})) << "no division by nothing";
}

TEST(ShapeEmbedding, WhatIsNoNumberIsAnError) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    std::vector<float> v = {1, bad};
    const auto done = shape_embedding(v, true, 1);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().message, "embedding contains NaN or Inf values");
  }
}

class EmbedInputsTest : public test::WithModel {
 protected:
  static Result<EmbedInputs> read(const char* body, bool gone = false) {
    Patience patience([] {}, [gone] { return gone; });
    return read_embed_inputs(model(), Json::parse(body), patience);
  }
};

TEST_F(EmbedInputsTest, ReadsARequest) {
  const auto one = read(R"({"input":["abc","d"],"dimensions":7,"normalise":false})");
  ASSERT_TRUE(one) << one.error().message;
  EXPECT_EQ(one->tokens.size(), 2u);
  EXPECT_EQ(one->tokens[0].size(), 3u);
  EXPECT_EQ(one->dimensions, 7);
  EXPECT_FALSE(one->normalise);
  EXPECT_EQ(one->n_ctx, 256) << "the runner's";
  EXPECT_EQ(read(R"({"input":"abc","num_ctx":2})")->tokens[0].size(), 2u);
  EXPECT_EQ(read(R"({"input":"abc","num_ctx":100000})")->n_ctx, 8192) << "what it was trained for";
  EXPECT_TRUE(read(R"({})")->tokens.empty());
  EXPECT_TRUE(read(R"({"input":[]})")->tokens.empty());
}

TEST_F(EmbedInputsTest, RefusesWhatIsWrong) {
  for (const char* body : {R"({"input":7})", R"({"input":["a",7]})", R"({"input":[null]})", R"({"input":{}})",
                           R"({"input":"a","dimensions":-1})", R"({"input":"a","num_ctx":"9"})",
                           R"({"input":"a","normalise":1})", R"({"input":["a",""]})"}) {
    const auto in = read(body);
    ASSERT_FALSE(in) << body;
    EXPECT_EQ(in.error().code, Code::kInvalidArgument) << body;
  }
  EXPECT_EQ(read(R"({"input":"a"})", true).error().code, Code::kCancelled);
  std::string many = R"({"input":["a")";
  for (int i = 0; i < 140'000; ++i) many += ",\"a\"";  // of 64 numbers each
  EXPECT_FALSE(read((many + "]}").c_str()));
}

}  // namespace
}  // namespace quipu::runner
