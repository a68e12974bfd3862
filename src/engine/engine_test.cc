// How requests end, and what is refused.
#include "engine/engine.h"

#include <sys/resource.h>

#include <thread>

#include "engine/engine_fixture.h"

namespace quipu::test {
namespace {

TEST_F(EngineTest, StopsAtNumPredict) {
  const GenerateStats s = ask(tokens(10, 1), greedy(7))->stats();
  EXPECT_EQ(s.reason, StopReason::kLength);
  EXPECT_EQ(s.generated_tokens, 7);
  EXPECT_EQ(s.prompt_tokens, 10);
  EXPECT_EQ(s.cached_tokens, 0);
  EXPECT_GT(s.kv_bytes, 0u);
  EXPECT_GT(s.prompt_ns, 0);
  EXPECT_GE(s.total_ns, s.prompt_ns + s.generate_ns);
}

TEST_F(EngineTest, WithoutNumPredictItEndsWithTheContext) {
  for (const std::optional<int64_t> n : {std::optional<int64_t>(), std::optional<int64_t>(0)}) {
    GenerateOptions o = greedy(n);
    o.n_ctx = 40;
    const GenerateStats s = ask(tokens(10, 1), o)->stats();
    EXPECT_EQ(s.reason, StopReason::kContext);
    EXPECT_EQ(s.generated_tokens, 31) << "30 that fill the context, and one predicted from its last place";
    EXPECT_EQ(s.context_shifts, 0);
  }
}

TEST_F(EngineTest, WithNumPredictTheContextShifts) {
  GenerateOptions o = greedy(100);
  o.n_ctx = 40;
  const GenerateStats s = ask(tokens(10, 1), o)->stats();
  EXPECT_EQ(s.reason, StopReason::kLength);
  EXPECT_EQ(s.generated_tokens, 100);
  EXPECT_GT(s.context_shifts, 0);
  o.shift = false;
  EXPECT_EQ(ask(tokens(10, 1), o)->stats().reason, StopReason::kContext);
}

TEST_F(EngineTest, NegativeNumPredictIsBoundedByTenContexts) {
  for (const int64_t n : {-1, -2, 1000}) {
    GenerateOptions o = greedy(n);
    o.n_ctx = 32;
    const GenerateStats s = ask(tokens(10, 1), o)->stats();
    EXPECT_EQ(s.reason, StopReason::kLength);
    EXPECT_EQ(s.generated_tokens, 320);
  }
}

TEST_F(EngineTest, TheSmallestContexts) {
  for (int64_t n_ctx = 2; n_ctx < 8; ++n_ctx)
    for (const int64_t keep : {-1, 0, 4, 100}) {
      GenerateOptions o = greedy(25);
      o.n_ctx = n_ctx;
      o.num_keep = keep;
      EXPECT_EQ(ask(tokens(static_cast<size_t>(n_ctx) - 1, 1), o)->stats().generated_tokens,
                std::min<int64_t>(25, 10 * n_ctx))
          << n_ctx << " " << keep;
    }
}

TEST_F(EngineTest, EndOfGenerationIsNotShown) {
  const std::vector<Token> all = ask(tokens(10, 1), sampled(12, 3))->tokens();
  tokenizer_.end = all[7];
  size_t first = 0;
  while (all[first] != tokenizer_.end) ++first;
  auto a = ask(tokens(10, 1), sampled(12, 3));
  EXPECT_EQ(a->stats().reason, StopReason::kEos);
  EXPECT_EQ(a->stats().generated_tokens, static_cast<int64_t>(first) + 1);
  EXPECT_EQ(a->tokens(), std::vector<Token>(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(first)));
}

TEST_F(EngineTest, AStopStringAcrossTokensCutsTheText) {
  const std::vector<Token> all = ask(tokens(10, 1), sampled(12, 3))->tokens();
  GenerateOptions o = sampled(12, 3);
  o.stop = {"nothing", std::to_string(all[4]) + " " + std::to_string(all[5]) + " "};
  auto a = ask(tokens(10, 1), o);
  EXPECT_EQ(a->stats().reason, StopReason::kStop);
  EXPECT_EQ(a->tokens(), std::vector<Token>(all.begin(), all.begin() + 4));
}

TEST_F(EngineTest, WhatIsHeldBackForAStopStringComesAtTheEnd) {
  const std::vector<Token> all = ask(tokens(10, 1), sampled(6, 3))->tokens();
  GenerateOptions o = sampled(6, 3);
  o.stop = {std::to_string(all[5]) + " and more"};
  auto a = ask(tokens(10, 1), o);
  EXPECT_EQ(a->stats().reason, StopReason::kLength);
  EXPECT_EQ(a->tokens(), all);
}

TEST_F(EngineTest, ARunThatRepeatsItselfEndsAndIsDeliveredWhole) {
  tokenizer_.all_alike = true;
  GenerateOptions o = sampled(100, 3);
  o.repeat_guard = true;
  auto a = ask(tokens(10, 1), o);
  EXPECT_EQ(a->stats().reason, StopReason::kRepetition);
  EXPECT_EQ(a->stats().generated_tokens, 32);
  EXPECT_EQ(a->text.size(), 32u * 3);
  o.repeat_guard = false;
  EXPECT_EQ(ask(tokens(10, 1), o)->stats().reason, StopReason::kLength);
}

TEST_F(EngineTest, ATimeLimitHoldsFromTheStart) {
  GenerateOptions o = greedy(-1);
  o.max_seconds = 1e-9;
  const GenerateStats before = ask(tokens(200, 1), o)->stats();
  EXPECT_EQ(before.reason, StopReason::kTime);
  EXPECT_EQ(before.generated_tokens, 0) << "in prefill too";
  o.max_seconds = 0.02;
  EXPECT_EQ(ask(tokens(10, 1), o)->stats().reason, StopReason::kTime);
  o.max_seconds = 60;
  o.since = std::chrono::steady_clock::now() - std::chrono::seconds(61);
  EXPECT_EQ(ask(tokens(10, 1), o)->stats().reason, StopReason::kTime) << "before it came to the engine";
  for (const double never : {0.0, -1.0, 1e300, std::numeric_limits<double>::quiet_NaN()}) {
    o = greedy(2);
    o.max_seconds = never;
    EXPECT_EQ(ask(tokens(10, 1), o)->stats().reason, StopReason::kLength);
  }
}

TEST_F(EngineTest, ATimeLimitHoldsInTheQueue) {
  start({.n_ctx = 256, .n_parallel = 1});
  hold();
  GenerateOptions o = greedy(5);
  o.max_seconds = 1e-9;
  auto waits = ask(tokens(10, 1), o), cancelled = ask(tokens(10, 2), greedy(5)),
       served = ask(tokens(10, 3), greedy(5));
  engine_->cancel(cancelled->id);
  release();
  EXPECT_EQ(waits->stats().reason, StopReason::kTime);
  EXPECT_EQ(cancelled->stats().reason, StopReason::kCancelled);
  EXPECT_EQ(served->stats().generated_tokens, 5);
}

TEST_F(EngineTest, CancelEndsWithinAStep) {
  auto a = ask(tokens(10, 1), greedy(-1), [this](Answer& answer) {
    const std::lock_guard lock(answer.mutex);
    if (answer.id != 0) engine_->cancel(answer.id);  // from a callback
  });
  EXPECT_EQ(a->stats().reason, StopReason::kCancelled);
  engine_->cancel(a->id);
  engine_->cancel(424242);
  EXPECT_TRUE(ask(tokens(5, 2), greedy(2))->wait()) << "the engine goes on";
}

TEST_F(EngineTest, CancelEndsALongPromptBetweenTwoChunks) {
  start({.n_ctx = 4096, .n_parallel = 3});
  hold();
  const std::vector<Token> prompt = tokens(4000, 1);
  auto endless = ask(prompt, greedy(5));
  int n = 0;
  auto other = ask(tokens(10, 2), greedy(20), [&](Answer&) {
    if (++n == 3) engine_->cancel(endless->id);
  });
  release();
  const GenerateStats s = endless->stats();
  EXPECT_EQ(s.reason, StopReason::kCancelled);
  EXPECT_EQ(s.generated_tokens, 0);
  EXPECT_EQ(other->stats().generated_tokens, 20);
  const int64_t cached = ask(prompt, greedy(1))->stats().cached_tokens;
  EXPECT_GT(cached, 0) << "what was computed is kept";
  EXPECT_LT(cached, 1000) << "a few chunks";
}

TEST_F(EngineTest, RefusesWhatCannotRun) {
  const auto refused = [&](std::vector<Token> prompt, GenerateOptions o) {
    GenerateRequest r;
    r.prompt = std::move(prompt);
    r.options = std::move(o);
    auto id = engine_->submit(std::move(r));
    EXPECT_FALSE(id.has_value());
    return id ? std::string() : id.error().message;
  };
  refused({}, greedy(1));
  refused({-1}, greedy(1));
  refused({100000}, greedy(1));
  const std::string both = refused(tokens(256, 1), greedy(1));
  EXPECT_NE(both.find("256 tokens"), std::string::npos) << both;
  EXPECT_NE(both.find("255"), std::string::npos) << both;
  GenerateOptions bad = greedy(1);
  bad.sampling.repeat_last_n = -2;
  EXPECT_NE(refused(tokens(4, 1), bad).find("repeat_last_n"), std::string::npos);
}

TEST_F(EngineTest, AContextBeyondTheTrainedOneIsLoweredToIt) {
  GenerateOptions o = greedy(3);
  o.n_ctx = INT64_MAX;
  EXPECT_EQ(ask(tokens(300, 1), o)->stats().generated_tokens, 3);
}

TEST_F(EngineTest, AQueueHasAnEnd) {
  start({.n_ctx = 256, .n_parallel = 1, .max_waiting = 2});
  hold();
  auto first = ask(tokens(20, 1), greedy(2)), second = ask(tokens(20, 2), greedy(2));
  GenerateRequest r;
  r.prompt = tokens(20, 3);
  auto third = engine_->submit(std::move(r));
  ASSERT_FALSE(third.has_value());
  EXPECT_EQ(third.error().code, Code::kUnavailable);
  release();
  EXPECT_TRUE(first->wait());
  EXPECT_TRUE(second->wait());
}

TEST_F(EngineTest, AnOutputBufferThatIsTooSmallIsRefused) {
  std::vector<std::byte> small(16);
  EngineOptions o;
  o.n_ctx = 10;
  EXPECT_FALSE(Engine::create(*model_, nullptr, *pool_, nullptr, small, o, ledger_).has_value());
  for (const auto& [n_ctx, n_parallel] : {std::pair<int64_t, int64_t>{0, 1}, {10, 0}, {10, 257}}) {
    o.n_ctx = n_ctx;
    o.n_parallel = n_parallel;
    EXPECT_FALSE(Engine::create(*model_, nullptr, *pool_, nullptr, output_, o, ledger_).has_value());
  }
}

TEST_F(EngineTest, ShutdownEndsWhatRunsAndWhatWaits) {
  start({.n_ctx = 256, .n_parallel = 1});
  hold();
  auto a = ask(tokens(10, 1), greedy(-1)), b = ask(tokens(10, 2), greedy(-1));
  std::thread release_later([this] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    release();
  });
  engine_.reset();
  release_later.join();
  EXPECT_EQ(a->stats().reason, StopReason::kCancelled);
  EXPECT_EQ(b->stats().reason, StopReason::kCancelled);
}

// Several threads that ask, cancel and read at once: everybody gets exactly one end.
TEST_F(EngineTest, ManySubmittersAtOnce) {
  start({.n_ctx = 256, .n_parallel = 3, .max_waiting = 1000});
  std::vector<std::thread> threads;
  std::mutex mutex;
  std::vector<std::unique_ptr<Answer>> answers;
  for (uint32_t t = 0; t < 6; ++t)
    threads.emplace_back([&, t] {
      for (uint32_t i = 0; i < 12; ++i) {
        auto a = ask(tokens(5 + (t * 31 + i * 17) % 120, t % 3), sampled(1 + (i * 5) % 20, i));
        if (i % 4 == 1) engine_->cancel(a->id);
        if (i % 4 == 2) engine_->kv_use();
        const std::lock_guard lock(mutex);
        answers.push_back(std::move(a));
      }
    });
  for (std::thread& t : threads) t.join();
  for (auto& a : answers) {
    const GenerateStats s = a->stats();
    EXPECT_TRUE(s.reason == StopReason::kLength || s.reason == StopReason::kCancelled);
    EXPECT_EQ(static_cast<int64_t>(a->tokens().size()), s.generated_tokens);
    EXPECT_EQ(a->n_done, 1);
  }
  EXPECT_EQ(engine_->kv_use().in_use, 0u);
  EXPECT_TRUE(ask(tokens(5, 2), greedy(2))->wait());
}

// Not a timing: processor time of the whole process while nobody asks for anything, with something to trim
// later.
TEST_F(EngineTest, AnIdleEngineUsesNoProcessor) {
  ask(tokens(50, 1), greedy(5))->wait();
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  const auto used = [] {
    rusage u{};
    getrusage(RUSAGE_SELF, &u);
    return static_cast<double>(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 +
           static_cast<double>(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
  };
  const double before = used();
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_LT(used() - before, 15'000) << "microseconds in 300 ms of idling";
}

}  // namespace
}  // namespace quipu::test
