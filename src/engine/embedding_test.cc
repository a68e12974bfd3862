// Embeddings beside answers: what they are, and that nothing changes them.
#include <cmath>

#include "engine/engine_fixture.h"

namespace quipu::test {
namespace {

class EngineEmbedding : public EngineTest {
 protected:
  std::vector<float> alone(const std::vector<Token>& of) {
    start({.n_ctx = 2048, .n_parallel = 1}, 1);
    return embed(of)->values();
  }
};

TEST_F(EngineEmbedding, IsAVectorOfTheModelsSize) {
  const auto v = embed(tokens(10, 1))->values();
  EXPECT_EQ(static_cast<int64_t>(v.size()), model_->n_embd());
  for (const float x : v) EXPECT_TRUE(std::isfinite(x));
  EXPECT_NE(v, embed(tokens(10, 2))->values());
}

// The mean over a text is that of the means over its parts, if those see what comes before them; here the
// parts are single tokens, as prefixes of growing length.
TEST_F(EngineEmbedding, IsAMeanOverAllTokens) {
  const std::vector<Token> text = tokens(40, 3);
  std::vector<double> sum(static_cast<size_t>(model_->n_embd()));
  for (size_t n = 1; n <= text.size(); ++n) {
    const auto now = embed({text.begin(), text.begin() + static_cast<std::ptrdiff_t>(n)})->values();
    const auto before =
        n == 1 ? std::vector<float>(now.size())
               : embed({text.begin(), text.begin() + static_cast<std::ptrdiff_t>(n - 1)})->values();
    for (size_t i = 0; i < now.size(); ++i)
      sum[i] += static_cast<double>(n) * now[i] - static_cast<double>(n - 1) * before[i];
  }
  const auto all = embed(text)->values();
  for (size_t i = 0; i < all.size(); ++i) EXPECT_NEAR(all[i], sum[i] / 40, 1e-4);
}

TEST_F(EngineEmbedding, CompanyChangesNothing) {
  std::vector<std::vector<float>> expected;
  for (uint32_t i = 0; i < 9; ++i) expected.push_back(alone(tokens(1 + i * 97, i)));
  const std::vector<Token> answer = [&] {
    start({.n_ctx = 2048, .n_parallel = 1}, 1);
    return ask(tokens(77, 1), sampled(50, 5))->tokens();
  }();
  for (const int64_t n_parallel : {1, 3, 8})
    for (const uint64_t blocks : {uint64_t{1000}, uint64_t{30}}) {  // the second makes them pause
      EngineOptions o{.n_ctx = 2048, .n_parallel = n_parallel};
      o.kv_budget = blocks * model_->kv_block_bytes({});
      start(o, 2);
      hold();
      std::vector<std::unique_ptr<Vector>> vectors;
      auto a = ask(tokens(77, 1), sampled(50, 5));
      for (uint32_t i = 0; i < 9; ++i) vectors.push_back(embed(tokens(1 + i * 97, i)));
      release();
      EXPECT_EQ(a->tokens(), answer);
      for (size_t i = 0; i < 9; ++i)
        EXPECT_EQ(vectors[i]->values(), expected[i]) << i << ", " << n_parallel << ", " << blocks;
    }
}

// A cached beginning would leave its hidden states out; and an embedding's text has no next turn.
TEST_F(EngineEmbedding, NeitherTakesFromTheCacheNorLeavesAnything) {
  const std::vector<Token> text = tokens(100, 1);
  const auto before = embed(text)->values();
  EXPECT_EQ(engine_->kv_use().cached, 0u);
  ask(text, greedy(1))->wait();
  const uint64_t cached = engine_->kv_use().cached;
  EXPECT_GT(cached, 0u);
  EXPECT_EQ(embed(text)->values(), before);
  EXPECT_EQ(engine_->kv_use().cached, cached);
  EXPECT_EQ(ask(text, greedy(1))->stats().cached_tokens, 99);
}

TEST_F(EngineEmbedding, FillsTheWholeContextAndNoMore) {
  start({.n_ctx = 64, .n_parallel = 2});
  EXPECT_TRUE(embed(tokens(64, 1))->wait());
  EmbedRequest r;
  r.tokens = tokens(65, 1);
  const auto refused = engine_->submit(std::move(r));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kInvalidArgument);
  RunLimits longer;
  longer.n_ctx = 200;
  EXPECT_TRUE(embed(tokens(200, 1), longer)->wait());
  EmbedRequest empty;
  EXPECT_FALSE(engine_->submit(std::move(empty)));
}

TEST_F(EngineEmbedding, EndsEarlyAsAnError) {
  start({.n_ctx = 2048, .n_parallel = 1});
  hold();
  auto cancelled = embed(tokens(100, 1));
  RunLimits short_of_time;
  short_of_time.max_seconds = 1e-9;
  auto late = embed(tokens(100, 1), short_of_time);
  engine_->cancel(cancelled->id);
  release();
  for (const auto& [v, code] :
       {std::pair(&cancelled, Code::kCancelled), std::pair(&late, Code::kUnavailable)}) {
    const auto r = (*v)->wait();
    ASSERT_FALSE(r);
    EXPECT_EQ(r.error().code, code);
  }
  EngineOptions o{.n_ctx = 2048, .n_parallel = 1};
  o.kv_budget = 2 * model_->kv_block_bytes({});
  start(o);
  const auto r = embed(tokens(100, 1))->wait();
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().code, Code::kOutOfMemory);
  EXPECT_TRUE(embed(tokens(60, 1))->wait());
}

TEST_F(EngineEmbedding, ShutdownEndsIt) {
  start({.n_ctx = 2048, .n_parallel = 1});
  hold();
  auto v = embed(tokens(2000, 1));
  std::thread later([this] { release(); });
  engine_.reset();
  later.join();
  v->wait();
}

}  // namespace
}  // namespace quipu::test
