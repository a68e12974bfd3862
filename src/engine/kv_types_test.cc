// Sequences whose K and V are stored as different types, side by side.
#include <random>

#include "engine/engine_fixture.h"

namespace quipu::test {
namespace {

using kernels::KvType;

constexpr KvTypes kTypes[] = {{KvType::kF16, KvType::kF16},   {KvType::kF32, KvType::kF32},
                              {KvType::kF16, KvType::kF32},   {KvType::kF32, KvType::kF16},
                              {KvType::kBf16, KvType::kBf16}, {KvType::kQ8_0, KvType::kQ8_0},
                              {KvType::kQ4_0, KvType::kQ4_0}, {KvType::kQ8_0, KvType::kQ4_0}};

class EngineKvTypes : public EngineTest {
 protected:
  static GenerateOptions with(GenerateOptions o, std::optional<KvTypes> types) {
    o.kv_types = types;
    return o;
  }
  std::vector<Token> alone(const std::vector<Token>& prompt, const GenerateOptions& options) {
    start({.n_ctx = 1024, .n_parallel = 1, .keep_prefixes = false}, 1);
    return ask(prompt, options)->tokens();
  }
  uint64_t block_bytes(KvTypes t) const { return model_->kv_block_bytes(t); }
};

TEST_F(EngineKvTypes, AnswersAreThoseOfAnEngineWithThatType) {
  const std::vector<Token> prompt = tokens(80, 1);
  for (const KvTypes t : kTypes) {
    start({.n_ctx = 1024, .n_parallel = 1, .kv_types = t});
    const std::vector<Token> expected = ask(prompt, sampled(40, 3))->tokens();
    start({.n_ctx = 1024, .n_parallel = 1});
    auto a = ask(prompt, with(sampled(40, 3), t));
    EXPECT_EQ(a->tokens(), expected);
    EXPECT_EQ(a->stats().kv_bytes, 4 * block_bytes(t));
  }
}

TEST_F(EngineKvTypes, NothingIsSharedBetweenTypes) {
  const std::vector<Token> prompt = tokens(100, 1);
  ask(prompt, greedy(1))->wait();
  EXPECT_EQ(ask(prompt, with(greedy(1), kTypes[1]))->stats().cached_tokens, 0);
  EXPECT_EQ(ask(prompt, with(greedy(1), kTypes[1]))->stats().cached_tokens, 99);
  EXPECT_EQ(ask(prompt, greedy(1))->stats().cached_tokens, 99);
  EXPECT_EQ(ask(prompt, with(greedy(1), kTypes[2]))->stats().cached_tokens, 0);
}

TEST_F(EngineKvTypes, AllTypesAreCountedAndGivenBack) {
  start({.n_ctx = 1024, .n_parallel = std::ssize(kTypes)});  // as many conversations are kept
  for (const KvTypes t : kTypes) ask(tokens(100, 1), with(greedy(1), t))->wait();
  uint64_t expected = 0;
  for (const KvTypes t : kTypes) expected += 4 * block_bytes(t);
  EXPECT_EQ(engine_->kv_use().cached, expected);
  EXPECT_EQ(engine_->kv_use().committed, expected);
  EXPECT_EQ(engine_->kv_use().planned, expected);
  EXPECT_EQ(ledger_.bytes(memory::Category::kKv), expected);
  ASSERT_TRUE(engine_->fill(0, 1));
  EXPECT_EQ(engine_->kv_use().committed, 0u);
  EXPECT_EQ(ledger_.bytes(memory::Category::kKv), 0u);
}

// Rows of different types never come in one step; who decodes waits for one step of each other type.
TEST_F(EngineKvTypes, TypesTakeTurns) {
  start({.n_ctx = 4096, .n_parallel = 4});
  hold();
  std::mutex mutex;
  std::string order;
  const auto note = [&](char c) {
    return [&order, &mutex, c](Answer&) {
      const std::lock_guard lock(mutex);
      order.push_back(c);
    };
  };
  auto a = ask(tokens(20, 1), with(greedy(10), kTypes[0]), note('a'));
  auto b = ask(tokens(20, 2), with(greedy(10), kTypes[1]), note('b'));
  auto c = ask(tokens(20, 3), with(greedy(10), kTypes[3]), note('c'));
  auto late = ask(tokens(3000, 4), with(greedy(1), kTypes[2]), note('l'));  // a long prompt delays nobody
  release();
  a->wait(), b->wait(), c->wait(), late->wait();
  EXPECT_EQ(order.size(), 31u);
  EXPECT_EQ(order.back(), 'l');
  order.pop_back();
  for (size_t i = 3; i < order.size(); ++i) EXPECT_EQ(order[i], order[i - 3]) << order;
}

// One budget for all: what is free or kept in one cache makes room in another.
TEST_F(EngineKvTypes, MemoryGoesToWhoNeedsIt) {
  const uint64_t budget = 12 * block_bytes(kTypes[1]);
  for (const bool keep : {true, false}) {
    EngineOptions o{.n_ctx = 1024, .n_parallel = 4, .keep_prefixes = keep};
    o.kv_budget = budget;
    start(o);
    for (int round = 0; round < 3; ++round)
      for (const KvTypes t : kTypes) {
        const GenerateStats s = ask(tokens(300, 1), with(greedy(40), t))->stats();
        EXPECT_EQ(s.reason, StopReason::kLength);
        EXPECT_LE(ledger_.bytes(memory::Category::kKv), budget);
      }
    EXPECT_EQ(ask(tokens(400, 1), with(greedy(1), kTypes[1]))->stats().reason, StopReason::kMemory);
  }
}

TEST_F(EngineKvTypes, MixedCompanyChangesNothing) {
  struct Case {
    std::vector<Token> prompt;
    GenerateOptions options;
    std::vector<Token> expected;
  };
  std::vector<Case> cases;
  for (uint32_t i = 0; i < 16; ++i) {
    Case c{tokens(1 + i * 37, i % 4), with(sampled(20 + 5 * i, i), kTypes[i % std::size(kTypes)]), {}};
    if (i % 3 == 0) c.options.n_threads = 1;
    c.expected = alone(c.prompt, c.options);
    cases.push_back(std::move(c));
  }
  for (const uint64_t blocks : {uint64_t{1000}, uint64_t{40}})  // the second makes them pause
    for (const int64_t n_parallel : {3, 8}) {
      EngineOptions o{.n_ctx = 1024, .n_parallel = n_parallel};
      o.kv_budget = blocks * block_bytes({});
      start(o);
      hold();
      std::vector<std::unique_ptr<Answer>> answers;
      for (const Case& c : cases) answers.push_back(ask(c.prompt, c.options));
      release();
      for (size_t i = 0; i < cases.size(); ++i)
        EXPECT_EQ(answers[i]->tokens(), cases[i].expected) << "case " << i << ", " << blocks << " blocks";
      EXPECT_LE(engine_->kv_use().committed, o.kv_budget);
    }
}

// Requests of all types, and embeddings, cancelled at any time: nothing is left behind.
TEST_F(EngineKvTypes, RandomCancelsLeaveNothingBehind) {
  std::mt19937 random(7);
  const auto below = [&](uint32_t n) { return static_cast<uint32_t>(random() % n); };
  EngineOptions o{.n_ctx = 1024, .n_parallel = 4};
  o.kv_budget = 60 * block_bytes({});
  start(o);
  std::vector<std::unique_ptr<Answer>> answers;
  std::vector<std::unique_ptr<Vector>> vectors;
  for (int i = 0; i < 200; ++i) {
    const std::optional<KvTypes> types = kTypes[below(std::size(kTypes))];
    if (below(4) == 0) {
      RunLimits limits;
      limits.kv_types = types;
      vectors.push_back(embed(tokens(1 + below(400), below(9)), limits));
      if (below(2) == 0) engine_->cancel(vectors.back()->id);
      continue;
    }
    const uint32_t after = 1 + below(30);
    const bool by_itself = below(2) == 0;
    auto n = std::make_shared<uint32_t>(0);
    answers.push_back(ask(tokens(1 + below(400), below(9)), with(sampled(1 + below(60), i), types),
                          [this, n, after, by_itself](Answer& a) {
                            const std::lock_guard lock(a.mutex);
                            if (++*n == after && by_itself && a.id != 0) engine_->cancel(a.id);
                          }));
    if (below(3) == 0) engine_->cancel(answers[below(static_cast<uint32_t>(answers.size()))]->id);
  }
  for (auto& a : answers) {
    EXPECT_TRUE(a->wait());
    EXPECT_EQ(a->n_done, 1);
    EXPECT_LE(a->n_started, 1);
  }
  for (auto& v : vectors) {
    const auto r = v->wait();
    EXPECT_TRUE(r || r.error().code == Code::kCancelled);
  }
  EXPECT_EQ(engine_->kv_use().in_use, 0u);
  ASSERT_TRUE(engine_->fill(0, 1));
  EXPECT_EQ(engine_->kv_use().committed, 0u);
  EXPECT_EQ(ledger_.bytes(memory::Category::kKv), 0u);
  EXPECT_EQ(embed(tokens(300, 1))->values(), embed(tokens(300, 1))->values()) << "places are there again";
}

}  // namespace
}  // namespace quipu::test
