// KV memory: taken with use, bounded, given back; what happens when there is none.
#include <thread>

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
    o.on_preemption = [this] { ++heard_; };
    start(std::move(o));
  }
  uint64_t engine_block_bytes() const { return model_->kv_block_bytes({}); }
  uint64_t blocks(uint64_t bytes) const { return bytes / engine_block_bytes(); }

  std::atomic<uint64_t> limit_{1000}, heard_{0};
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

// What bounds the cache is memory, not how many conversations there were.
TEST_F(EngineMemory, ConversationsBeyondThePlacesKeepTheirs) {
  start({.n_ctx = 256, .n_parallel = 2});
  std::vector<std::vector<Token>> chats;
  for (uint32_t i = 0; i < 4; ++i) chats.push_back(tokens(60, i));
  for (int turn = 0; turn < 3; ++turn)
    for (uint32_t i = 0; i < 4; ++i) {
      auto a = ask(chats[i], greedy(3));
      EXPECT_EQ(a->stats().cached_tokens, turn == 0 ? 0 : static_cast<int64_t>(chats[i].size()) - 5 - 1)
          << "turn " << turn;
      chats[i] = joined(joined(chats[i], a->tokens()), tokens(5, 10 + i));
    }
  EXPECT_EQ(blocks(engine_->kv_use().cached), 4 * 3u);
  EXPECT_EQ(engine_->counters().evicted_blocks, 0u);
}

TEST_F(EngineMemory, WhatIsCachedStaysBelowTheCeiling) {
  start({.n_ctx = 256, .n_parallel = 2});
  for (uint32_t i = 0; i < 12; ++i) {
    ask(tokens(100, i), greedy(1))->wait();
    EXPECT_EQ(blocks(engine_->kv_use().cached), std::min((i + 1) * 4, 16u));
    EXPECT_LE(blocks(engine_->kv_use().committed), 16u);
  }
  EXPECT_EQ(ask(tokens(100, 11), greedy(1))->stats().cached_tokens, 99);
  EXPECT_EQ(ask(tokens(100, 0), greedy(1))->stats().cached_tokens, 0) << "long gone";
  EXPECT_GE(engine_->counters().evicted_blocks, 32u);
}

// A request may have a longer context than the engine's; what it leaves does not stay beyond the ceiling.
TEST_F(EngineMemory, ALongerContextGoesBackToTheCeiling) {
  start({.n_ctx = 64, .n_parallel = 2});
  GenerateOptions o = greedy(20);
  o.n_ctx = 2000;
  EXPECT_EQ(ask(tokens(1000, 1), o)->stats().generated_tokens, 20);
  EXPECT_EQ(blocks(engine_->kv_use().cached), 4u);
  EXPECT_EQ(blocks(engine_->kv_use().committed), 4u);
  EXPECT_EQ(ask(tokens(50, 1), greedy(1))->stats().cached_tokens, 49) << "its beginning is what stayed";
}

// A system prompt in common is computed once and held once, whether the chats come one by one or together.
TEST_F(EngineMemory, WhatChatsHaveInCommonIsThereOnce) {
  const std::vector<Token> system = tokens(320, 1);
  for (const bool together : {true, false}) {
    start({.n_ctx = 1024, .n_parallel = 4});
    std::vector<std::unique_ptr<Answer>> answers;
    std::vector<uint64_t> seen(4);
    if (together) hold();
    for (uint32_t i = 0; i < 4; ++i)
      answers.push_back(ask(joined(system, tokens(10, 2 + i)), greedy(20),
                            [&, i](Answer&) { seen[i] = blocks(engine_->kv_use().in_use); }));
    if (together) release();
    int64_t cached = 0;
    for (auto& a : answers) cached += a->stats().cached_tokens;
    EXPECT_GE(cached, 3 * 320);
    EXPECT_LE(cached, 3 * 323) << "at most what the last ones have in common by chance";
    for (const uint64_t n : seen) EXPECT_LE(n, 10u + 4u + 1) << "and one that is held";
    EXPECT_EQ(engine_->kv_use().in_use, 0u);
    EXPECT_LE(blocks(engine_->kv_use().committed), 10u + 4u + 1) << "never more";
  }
}

// The same prompt four times, in whole blocks and not: each computes its last token and what is not a block.
TEST_F(EngineMemory, FourTimesTheSame) {
  for (const size_t n : {31u, 32u, 33u, 64u, 100u, 320u}) {
    start({.n_ctx = 1024, .n_parallel = 4});
    hold();
    std::vector<std::unique_ptr<Answer>> answers;
    for (uint32_t i = 0; i < 4; ++i) answers.push_back(ask(tokens(n, 1), sampled(30, i)));
    release();
    int64_t cached = 0;
    for (auto& a : answers) cached += a->stats().cached_tokens;
    const auto whole = static_cast<int64_t>(n % 32 == 0 ? n - 1 : n / 32 * 32);
    EXPECT_EQ(cached, 3 * whole) << n << " tokens";
  }
}

// The one that the others wait for goes: one of them computes the block then.
TEST_F(EngineMemory, WhoIsWaitedForMayGo) {
  const std::vector<Token> prompt = tokens(3000, 1);
  std::vector<Token> expected;
  {
    start({.n_ctx = 4096, .n_parallel = 1, .keep_prefixes = false});
    expected = ask(prompt, greedy(10))->tokens();
  }
  for (int round = 0; round < 3; ++round) {
    start({.n_ctx = 4096, .n_parallel = 4});
    hold();
    std::vector<std::unique_ptr<Answer>> answers;
    for (uint32_t i = 0; i < 4; ++i) answers.push_back(ask(prompt, greedy(10)));
    release();
    for (int i = 0; i < 3; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2 * round));
      engine_->cancel(answers[static_cast<size_t>(i)]->id);
    }
    EXPECT_EQ(answers[3]->tokens(), expected);
    for (auto& a : answers) a->wait();
    EXPECT_EQ(engine_->kv_use().in_use, 0u);
  }
}

TEST_F(EngineMemory, CountsWhatHappens) {
  EXPECT_EQ(engine_->counters().running + engine_->counters().waiting, 0u);
  limit_ = 9;
  start_bounded(2);
  hold();
  std::vector<std::unique_ptr<Answer>> answers;
  for (uint32_t i = 0; i < 4; ++i) answers.push_back(ask(tokens(20, i), greedy(200)));
  EXPECT_EQ(engine_->counters().running, 1u);
  EXPECT_EQ(engine_->counters().waiting, 4u);
  release();
  for (auto& a : answers) EXPECT_EQ(a->stats().generated_tokens, 200);
  EXPECT_GT(engine_->counters().preemptions, 0u);
  EXPECT_EQ(engine_->counters().preemptions, heard_);
  EXPECT_GT(engine_->counters().evicted_blocks, 0u);
  for (int i = 0; i < 1000 && engine_->counters().running != 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_EQ(engine_->counters().running + engine_->counters().waiting, 0u);
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
  o.kv_budget = 7 * model_->kv_block_bytes({}) + 5;
  start(o);
  std::vector<std::unique_ptr<Answer>> answers;
  for (uint32_t i = 0; i < 4; ++i) answers.push_back(ask(tokens(60, i), greedy(100)));
  for (auto& a : answers) EXPECT_EQ(a->stats().generated_tokens, 100);
  EXPECT_LE(blocks(engine_->kv_use().committed), 7u);
  EXPECT_EQ(ask(tokens(60, 9), greedy(500))->stats().reason, StopReason::kMemory);
}

TEST_F(EngineMemory, WhatIsCachedGivesWay) {
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

// Whoever shares the budget hears of every change, and is asked before anybody pauses or ends.
TEST_F(EngineMemory, WhatIsHeldIsSaidAndOthersAreAsked) {
  std::atomic<uint64_t> held{0}, limit{3}, n_asked{0};
  EngineOptions o{.n_ctx = 1024, .n_parallel = 4};
  o.kv_hold = [&](uint64_t bytes) {
    if (bytes > held && blocks(bytes) > limit) return false;
    held = bytes;
    return true;
  };
  o.kv_ask = [&](uint64_t bytes) {
    EXPECT_GT(bytes, 0u);
    ++n_asked;
    if (limit >= 8) return false;
    ++limit;  // somebody gives a block away
    return true;
  };
  start(std::move(o));
  const GenerateStats grown = ask(tokens(40, 1), greedy(150))->stats();
  EXPECT_EQ(grown.reason, StopReason::kLength) << "six blocks, three of which others gave";
  EXPECT_EQ(n_asked, 3u);
  EXPECT_EQ(blocks(held), 6u);
  EXPECT_EQ(ask(tokens(40, 1), greedy(500))->stats().reason, StopReason::kMemory)
      << "nobody has more than eight";
  EXPECT_LE(blocks(held), 8u);
  ASSERT_TRUE(engine_->fill(0, 0));
  EXPECT_EQ(held, 0u) << "what is given back is said too";
}

// What is cached in one type is room for another at once: what may grow is counted from what was said to be
// held, and nothing is said to be held that is not.
TEST_F(EngineMemory, WhatOneTypeHasCachedAnotherCanUse) {
  std::atomic<uint64_t> held{0}, n_asked{0};
  EngineOptions o{.n_ctx = 1024, .n_parallel = 2};
  o.kv_room = [&] { return 40 * engine_block_bytes() - std::min(40 * engine_block_bytes(), held.load()); };
  o.kv_hold = [&](uint64_t bytes) {
    if (bytes > 40 * engine_block_bytes()) return false;
    held = bytes;
    return true;
  };
  o.kv_ask = [&](uint64_t) {
    ++n_asked;
    return false;
  };
  start(std::move(o));
  GenerateOptions wide = greedy(1);
  wide.kv_types = {kernels::KvType::kF32, kernels::KvType::kF32};
  for (uint32_t turn = 0; turn < 2; ++turn) {
    EXPECT_EQ(ask(tokens(500, turn), wide)->stats().reason, StopReason::kLength);
    EXPECT_GT(engine_->kv_use().cached, 30 * engine_block_bytes());
    EXPECT_EQ(ask(tokens(20, turn), greedy(600))->stats().reason, StopReason::kLength) << "as it grows";
    EXPECT_EQ(ask(tokens(500, turn), wide)->stats().reason, StopReason::kLength);
    EXPECT_EQ(ask(tokens(900, turn), greedy(2))->stats().reason, StopReason::kLength) << "its prompt";
  }
  EXPECT_EQ(n_asked, 0u) << "of others, who need not give anything";
  EXPECT_EQ(held, engine_->kv_use().committed);
}

// Other models have the memory: what is alone here gives way and waits instead of ending.
class EngineAmongOthers : public EngineMemory {
 protected:
  void start_among_others() {
    EngineOptions o{.n_ctx = 1024, .n_parallel = 2};
    o.kv_room = [this] {
      const uint64_t limit = limit_ * engine_block_bytes(), used = ledger_.bytes(memory::Category::kKv);
      return limit - std::min(limit, used);
    };
    o.kv_give_way = [this](uint64_t bytes) {
      wanted_ = blocks(bytes);
      ++n_gave_way_;
      return is_of_use_.load();
    };
    o.kv_back = [this] { return limit_ >= 20; };
    start(std::move(o));
  }
  void others_are_done() { limit_ = 20; }
  void until_it_gave_way(uint64_t times = 1) {
    while (n_gave_way_ < times) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }

  std::atomic<uint64_t> wanted_{0}, n_gave_way_{0};
  std::atomic<bool> is_of_use_{true};
};

TEST_F(EngineAmongOthers, WhoIsAloneWaitsAndIsUndisturbed) {
  start({.n_ctx = 1024, .n_parallel = 1, .keep_prefixes = false});
  const std::vector<Token> expected = ask(tokens(40, 1), sampled(150, 1))->tokens();
  for (const uint64_t limit : {0u, 1u, 3u, 5u}) {  // before its prompt, and between two of its words
    limit_ = limit;
    n_gave_way_ = 0;
    start_among_others();
    auto a = ask(tokens(40, 1), sampled(150, 1));
    until_it_gave_way(3);
    EXPECT_EQ(wanted_, std::max<uint64_t>(limit + 1, 2)) << "what it has and what it lacks";
    EXPECT_EQ(engine_->counters().running, 0u);
    EXPECT_EQ(engine_->counters().waiting, 1u);
    others_are_done();
    EXPECT_EQ(a->tokens(), expected) << limit;
    EXPECT_EQ(a->stats().reason, StopReason::kLength);
    EXPECT_EQ(engine_->counters().preemptions, limit < 2 ? 0u : 1u);
  }
}

TEST_F(EngineAmongOthers, WhoWaitsCanEndAndOthersStandBehind) {
  limit_ = 3;
  start_among_others();
  auto first = ask(tokens(40, 1), greedy(150));
  until_it_gave_way();
  auto cancelled = ask(tokens(40, 2), greedy(5)), third = ask(tokens(40, 3), greedy(5));
  GenerateOptions hurried = greedy(5);
  hurried.max_seconds = 0.1;
  auto late = ask(tokens(40, 4), hurried);
  EXPECT_EQ(late->stats().reason, StopReason::kTime) << "in the queue behind those who wait";
  engine_->cancel(cancelled->id);
  EXPECT_EQ(cancelled->stats().reason, StopReason::kCancelled);
  others_are_done();
  EXPECT_EQ(first->stats().generated_tokens, 150);
  EXPECT_EQ(third->stats().generated_tokens, 5);
}

TEST_F(EngineAmongOthers, WhereWaitingIsOfNoUseItEnds) {
  is_of_use_ = false;
  limit_ = 3;
  start_among_others();
  const GenerateStats grown = ask(tokens(40, 1), greedy(500))->stats();
  EXPECT_EQ(grown.reason, StopReason::kMemory);
  EXPECT_EQ(grown.generated_tokens, 96 - 40 + 1);
  EXPECT_EQ(ask(tokens(200, 2), greedy(5))->stats().reason, StopReason::kMemory);
  EXPECT_EQ(n_gave_way_, 2u);
}

}  // namespace
}  // namespace quipu::test
