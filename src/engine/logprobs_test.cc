// Logprobs beside an answer's text, and tokens that are never sampled.
#include <cmath>

#include "engine/engine_fixture.h"

namespace quipu::test {
namespace {

class EngineLogprobs : public EngineTest {
 protected:
  static GenerateOptions with(GenerateOptions o, int n_top) {
    o.top_logprobs = n_top;
    return o;
  }
};

TEST_F(EngineLogprobs, EveryTokenHasThem) {
  auto a = ask(tokens(10, 1), with(greedy(20), 3));
  const std::vector<Token> said = a->tokens();
  ASSERT_EQ(a->logprobs.size(), said.size());
  for (size_t i = 0; i < said.size(); ++i) {
    const Logprobs& l = a->logprobs[i].logprobs;
    EXPECT_EQ(l.token.id, said[i]);
    ASSERT_EQ(l.top.size(), 3u);
    EXPECT_EQ(l.top[0].id, said[i]) << "greedy takes the most probable";
    EXPECT_EQ(l.top[0].logprob, l.token.logprob);
    EXPECT_LE(l.token.logprob, 0);
    EXPECT_GE(l.top[0].logprob, l.top[1].logprob);
    EXPECT_GE(l.top[1].logprob, l.top[2].logprob);
  }
  EXPECT_TRUE(ask(tokens(10, 1), greedy(5))->tokens().size() == 5) << "and nobody gets them unasked";
}

TEST_F(EngineLogprobs, AreTheModelsOwnWhateverTheOptions) {
  auto plain = ask(tokens(10, 1), with(greedy(1), 20));
  GenerateOptions o = with(sampled(1, 5), 20);
  o.sampling.presence_penalty = 3;
  auto other = ask(tokens(10, 1), o);
  plain->wait(), other->wait();
  const auto &a = plain->logprobs.at(0).logprobs.top, &b = other->logprobs.at(0).logprobs.top;
  ASSERT_EQ(a.size(), 20u);
  for (size_t i = 0; i < 20; ++i) {
    EXPECT_EQ(a[i].id, b[i].id);
    EXPECT_EQ(a[i].logprob, b[i].logprob);
  }
}

TEST_F(EngineLogprobs, SumToOne) {
  auto a = ask(tokens(10, 1), with(greedy(1), static_cast<int>(model_->n_vocab())));
  a->wait();
  double sum = 0;
  for (const TokenLogprob& t : a->logprobs.at(0).logprobs.top)
    sum += std::exp(static_cast<double>(t.logprob));
  EXPECT_NEAR(sum, 1, 1e-5);
}

TEST_F(EngineLogprobs, ComeWithTheTextTheirTokensBeginIn) {
  auto a = ask(tokens(10, 1), with(sampled(30, 3), 0));
  const std::vector<Token> said = a->tokens();
  ASSERT_EQ(a->logprobs.size(), 30u);
  size_t begin = 0;
  for (size_t i = 0; i < said.size(); ++i) {
    EXPECT_GT(a->logprobs[i].text_size, begin);
    EXPECT_TRUE(a->logprobs[i].logprobs.top.empty());
    begin += std::to_string(said[i]).size() + 1;
  }
}

// What a stop string cuts off has no logprobs; what it only holds back has them with its text.
TEST_F(EngineLogprobs, FollowTheTextThatAStopStringHolds) {
  const std::vector<Token> all = ask(tokens(10, 1), sampled(12, 3))->tokens();
  GenerateOptions o = with(sampled(12, 3), 0);
  o.stop = {std::to_string(all[4]) + " " + std::to_string(all[5]) + " "};
  auto cut = ask(tokens(10, 1), o);
  EXPECT_EQ(cut->stats().reason, StopReason::kStop);
  EXPECT_EQ(cut->logprobs.size(), 4u);
  o.stop = {std::to_string(all[11]) + " and more"};
  auto held = ask(tokens(10, 1), o);
  EXPECT_EQ(held->stats().reason, StopReason::kLength);
  EXPECT_EQ(held->logprobs.size(), 12u);
  o.stop = {std::string(" ").append(std::to_string(all[4])).substr(0, 2)};  // in the middle of a token's text
  auto middle = ask(tokens(10, 1), o);
  EXPECT_EQ(middle->stats().reason, StopReason::kStop);
  EXPECT_EQ(middle->logprobs.empty(), middle->text.empty());
}

TEST_F(EngineLogprobs, TheTokenThatEndsAnAnswerHasNone) {
  const std::vector<Token> all = ask(tokens(10, 1), sampled(12, 3))->tokens();
  tokenizer_.end = all[7];
  auto a = ask(tokens(10, 1), with(sampled(12, 3), 2));
  EXPECT_EQ(a->stats().reason, StopReason::kEos);
  EXPECT_EQ(a->logprobs.size(), a->tokens().size());
}

TEST_F(EngineLogprobs, SuppressedTokensAreNeverSampled) {
  const std::vector<Token> all = ask(tokens(10, 1), greedy(10))->tokens();
  EngineOptions o{.n_ctx = 256, .n_parallel = 4};
  o.suppressed = {all[0], all[5]};
  start(o);
  for (const int seed : {1, 2, 3}) {
    GenerateOptions random = with(sampled(60, seed), 1);
    random.sampling.top_k = 0;
    random.sampling.temperature = 100;
    for (auto& a : {ask(tokens(10, 1), with(greedy(60), 1)), ask(tokens(10, 1), random)}) {
      const std::vector<Token> said = a->tokens();
      EXPECT_EQ(said.size(), 60u);
      for (const Token t : o.suppressed) EXPECT_EQ(std::count(said.begin(), said.end(), t), 0);
      EXPECT_EQ(a->logprobs.at(0).logprobs.top.at(0).id, all[0]) << "the model would still have it so";
    }
  }
  o.suppressed = {static_cast<Token>(model_->n_vocab())};
  EXPECT_FALSE(Engine::create(*model_, nullptr, *pool_, nullptr, output_, o, ledger_).has_value());
}

}  // namespace
}  // namespace quipu::test
