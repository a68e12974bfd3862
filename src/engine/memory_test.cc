// KV memory: taken with use, bounded, given back; what happens when there is none.
#include "engine/engine_fixture.h"

namespace quipu::test {
namespace {

class EngineMemory : public EngineTest {
 protected:
  // An engine whose cache may grow to `limit_` blocks.
  void start_bounded(int64_t n_parallel, bool keep = true) {
    EngineOptions o{.n_ctx = 1024, .n_parallel = n_parallel, .keep_prefixes = keep};
    o.kv_room = [this] {
      const uint64_t limit = limit_ * engine_block_bytes();
      const uint64_t used = ledger_.bytes(memory::Category::kKv);
      return limit - std::min(limit, used);
    };
    start(std::move(o));
  }
  uint64_t engine_block_bytes() const { return model_->kv_layout({}).block_bytes(); }
  uint64_t blocks(uint64_t bytes) const { return bytes / engine_block_bytes(); }

  std::atomic<uint64_t> limit_{1000};
};

TEST_F(EngineMemory, IsCommittedWithUseAndGivenBack) {
  EXPECT_EQ(engine_->kv_use().committed, 0u) << "nothing before the first token";
  ASSERT_TRUE(engine_->fill(256, 4));
  EXPECT_EQ(engine_->kv_use().in_use, 4u * 8 * engine_->kv_block_bytes());
  EXPECT_EQ(ledger_.bytes(memory::Category::kKv), 4u * 8 * engine_->kv_block_bytes());
  ASSERT_TRUE(engine_->fill(0, 0));
  EXPECT_EQ(engine_->kv_use().committed, 0u);
  EXPECT_EQ(ledger_.bytes(memory::Category::kKv), 0u);
  EXPECT_FALSE(engine_->fill(1 << 30, 4)) << "more than there are addresses for";
  EXPECT_EQ(ledger_.bytes(memory::Category::kKv), 0u);
}

TEST_F(EngineMemory, MoreRequestsThanPlacesAllGetAnswers) {
  std::vector<std::unique_ptr<Answer>> answers;
  for (uint32_t i = 0; i < 20; ++i) answers.push_back(ask(tokens(5 + i * 9, i), greedy(5)));
  for (auto& a : answers) EXPECT_EQ(a->stats().generated_tokens, 5);
  EXPECT_EQ(engine_->kv_use().in_use, 0u);
  EXPECT_LE(blocks(engine_->kv_use().committed), 4u * 8) << "never more than n_parallel contexts";
}

// However many there were: what is kept and what runs are n_parallel conversations together.
TEST_F(EngineMemory, KeptConversationsAreNoMoreThanPlaces) {
  start({.n_ctx = 256, .n_parallel = 2});
  for (uint32_t i = 0; i < 6; ++i) {
    ask(tokens(100, i), greedy(1))->wait();
    EXPECT_EQ(blocks(engine_->kv_use().cached), std::min(i + 1, 2u) * 4);
  }
  EXPECT_EQ(ask(tokens(100, 5), greedy(1))->stats().cached_tokens, 99);
  EXPECT_EQ(ask(tokens(100, 0), greedy(1))->stats().cached_tokens, 0) << "long gone";
}

TEST_F(EngineMemory, AWholeContextFitsWhenEverybodyHasOne) {
  start({.n_ctx = 256, .n_parallel = 2});
  for (int round = 0; round < 3; ++round) {
    auto a = ask(tokens(255, 1), greedy(std::nullopt)), b = ask(tokens(255, 2), greedy(std::nullopt));
    EXPECT_EQ(a->stats().reason, StopReason::kContext);
    EXPECT_EQ(b->stats().reason, StopReason::kContext);
    EXPECT_EQ(a->stats().generated_tokens, 2);
  }
}

TEST_F(EngineMemory, GoesBackToTheSystemAfterIdling) {
  start({.n_ctx = 256, .n_parallel = 4, .idle_trim_seconds = 0.05});
  for (uint32_t i = 0; i < 6; ++i) ask(tokens(100, i), greedy(1))->wait();
  for (int i = 0; i < 1000 && ledger_.bytes(memory::Category::kKv) != 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_EQ(ledger_.bytes(memory::Category::kKv), 0u);
  EXPECT_EQ(ask(tokens(100, 5), greedy(1))->stats().cached_tokens, 0);
}

TEST_F(EngineMemory, ASequenceThatIsAloneAndCannotGrowEnds) {
  limit_ = 3;
  start_bounded(4);
  auto a = ask(tokens(40, 1), greedy(500));
  EXPECT_EQ(a->stats().reason, StopReason::kMemory);
  EXPECT_EQ(a->stats().generated_tokens, 96 - 40 + 1) << "all that three blocks hold, and one more predicted";
  EXPECT_EQ(a->tokens().size(), 57u);
  EXPECT_LE(blocks(engine_->kv_use().committed), 3u);
  const GenerateStats never = ask(tokens(200, 2), greedy(5))->stats();
  EXPECT_EQ(never.reason, StopReason::kMemory) << "its prompt alone is too long";
  EXPECT_EQ(never.generated_tokens, 0);
  EXPECT_EQ(ask(tokens(40, 1), greedy(5))->stats().reason, StopReason::kLength);
}

TEST_F(EngineMemory, ABudgetBoundsEverybodyTogether) {
  EngineOptions o{.n_ctx = 1024, .n_parallel = 4};
  o.kv_budget = 7 * model_->kv_layout({}).block_bytes() + 5;
  start(o);
  std::vector<std::unique_ptr<Answer>> answers;
  for (uint32_t i = 0; i < 4; ++i) answers.push_back(ask(tokens(60, i), greedy(100)));
  for (auto& a : answers) EXPECT_EQ(a->stats().generated_tokens, 100);
  EXPECT_LE(blocks(engine_->kv_use().committed), 7u);
  EXPECT_EQ(ask(tokens(60, 9), greedy(500))->stats().reason, StopReason::kMemory);
}

TEST_F(EngineMemory, KeptConversationsGiveWay) {
  limit_ = 6;
  start_bounded(4);
  for (uint32_t i = 0; i < 3; ++i) ask(tokens(50, i), greedy(1))->wait();
  EXPECT_EQ(blocks(engine_->kv_use().cached), 6u);
  const GenerateStats s = ask(tokens(100, 9), greedy(60))->stats();
  EXPECT_EQ(s.reason, StopReason::kLength);
  EXPECT_EQ(s.generated_tokens, 60);
  EXPECT_LE(blocks(engine_->kv_use().committed), 6u);
}

// Room for about two of four: they pause, are computed again and say what they would have said alone.
TEST_F(EngineMemory, WhoPausesIsUndisturbed) {
  std::vector<std::vector<Token>> expected;
  for (uint32_t i = 0; i < 4; ++i) {
    start({.n_ctx = 1024, .n_parallel = 1, .keep_prefixes = false});
    expected.push_back(ask(tokens(20 + 30 * i, i), sampled(150, i))->tokens());
  }
  for (const bool keep : {true, false})
    for (const uint64_t limit : {9u, 12u, 16u}) {
      limit_ = limit;
      start_bounded(4, keep);
      hold();
      std::vector<std::unique_ptr<Answer>> answers;
      for (uint32_t i = 0; i < 4; ++i) answers.push_back(ask(tokens(20 + 30 * i, i), sampled(150, i)));
      release();
      for (size_t i = 0; i < 4; ++i) {
        EXPECT_EQ(answers[i]->stats().reason, StopReason::kLength);
        EXPECT_EQ(answers[i]->tokens(), expected[i]) << "limit " << limit << ", sequence " << i;
      }
      EXPECT_LE(blocks(ledger_.bytes(memory::Category::kKv)), limit);
    }
}

// Memory that comes back while somebody waits for it.
TEST_F(EngineMemory, WhoWaitsForMemoryCanBeCancelled) {
  limit_ = 8;
  start_bounded(4, false);
  hold();
  auto runs = ask(tokens(100, 1), greedy(120)), waits = ask(tokens(200, 2), greedy(5)),
       gone = ask(tokens(200, 3), greedy(5));
  engine_->cancel(gone->id);
  release();
  EXPECT_EQ(gone->stats().reason, StopReason::kCancelled);
  EXPECT_EQ(runs->stats().generated_tokens, 120);
  EXPECT_EQ(waits->stats().generated_tokens, 5);
}

}  // namespace
}  // namespace quipu::test
