#include "engine/engine.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <thread>

#include "memory/arena.h"
#include "model/test_models.h"

namespace quipu {
namespace {

// A tiny model under an engine, and a way to ask and wait.
class EngineTest : public testing::Test {
 protected:
  void SetUp() override { start({.n_ctx = 256, .n_parallel = 4}); }

  void start(EngineOptions options) {
    engine_.reset();
    auto file = gguf::File::open(files_.path);
    ASSERT_TRUE(file.has_value());
    file_ = std::move(*file);
    auto model = load_model(*file_);
    ASSERT_TRUE(model.has_value());
    model_ = std::move(*model);
    pool_ = std::move(*ThreadPool::create(2));
    const memory::ModelShape shape = model_->shape(2);
    workspace_ = std::move(*memory::Arena::create(shape.workspace_bytes, memory::Category::kWorkspace, ledger_));
    output_.resize(static_cast<size_t>((options.n_parallel + 2) * model_->n_vocab()) * sizeof(float));
    auto ws = model_->make_workspace(workspace_, 2);
    ASSERT_TRUE(ws.has_value());
    auto engine = Engine::create(*model_, nullptr, *pool_, std::move(*ws), output_, options, ledger_);
    ASSERT_TRUE(engine.has_value());
    engine_ = std::move(*engine);
  }

  struct Answer {
    std::mutex mutex;
    std::condition_variable changed;
    std::optional<Result<GenerateStats>> done;
    uint64_t id = 0;
    Result<GenerateStats> wait() {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return done.has_value(); });
      return *done;
    }
  };

  std::unique_ptr<Answer> ask(std::vector<Token> prompt, GenerateOptions options) {
    auto a = std::make_unique<Answer>();
    GenerateRequest r;
    r.prompt = std::move(prompt);
    r.options = std::move(options);
    r.on_done = [p = a.get()](Result<GenerateStats> s) {
      const std::lock_guard lock(p->mutex);
      p->done = std::move(s);
      p->changed.notify_all();
    };
    auto id = engine_->submit(std::move(r));
    EXPECT_TRUE(id.has_value()) << id.error().message;
    a->id = id.value_or(0);
    return a;
  }

  static GenerateOptions greedy(std::optional<int64_t> n) {
    GenerateOptions o;
    o.sampling.temperature = 0;
    o.num_predict = n;
    o.repeat_guard = false;
    return o;
  }

  static std::vector<Token> tokens(size_t n, uint32_t seed) {
    std::vector<Token> t(n);
    for (Token& x : t) x = static_cast<Token>((seed = seed * 1664525u + 1013904223u) >> 8) % 150;
    return t;
  }

  test::TestModel files_{"llama-plain"};
  memory::Ledger ledger_;
  std::unique_ptr<gguf::File> file_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<ThreadPool> pool_;
  memory::Arena workspace_;
  std::vector<std::byte> output_;
  std::unique_ptr<Engine> engine_;
};

TEST_F(EngineTest, StopsAtNumPredict) {
  const auto s = ask(tokens(10, 1), greedy(7))->wait();
  ASSERT_TRUE(s.has_value());
  EXPECT_EQ(s->reason, StopReason::kLength);
  EXPECT_EQ(s->generated_tokens, 7);
  EXPECT_EQ(s->prompt_tokens, 10);
  EXPECT_EQ(s->cached_tokens, 0);
  EXPECT_GT(s->kv_bytes, 0u);
}

TEST_F(EngineTest, WithoutNumPredictItEndsWithTheContext) {
  GenerateOptions o = greedy(std::nullopt);
  o.n_ctx = 40;
  const auto s = ask(tokens(10, 1), o)->wait();
  ASSERT_TRUE(s.has_value());
  EXPECT_EQ(s->reason, StopReason::kContext);
  EXPECT_EQ(s->generated_tokens, 31) << "30 that fill the context, and one predicted from its last place";
}

TEST_F(EngineTest, WithNumPredictTheContextShifts) {
  GenerateOptions o = greedy(100);
  o.n_ctx = 40;
  const auto s = ask(tokens(10, 1), o)->wait();
  ASSERT_TRUE(s.has_value());
  EXPECT_EQ(s->reason, StopReason::kLength);
  EXPECT_EQ(s->generated_tokens, 100);
  EXPECT_GT(s->context_shifts, 0);
  o.shift = false;
  EXPECT_EQ(ask(tokens(10, 1), o)->wait()->reason, StopReason::kContext);
}

TEST_F(EngineTest, NumPredictMinusOneIsBoundedByTenContexts) {
  GenerateOptions o = greedy(-1);
  o.n_ctx = 32;
  const auto s = ask(tokens(10, 1), o)->wait();
  ASSERT_TRUE(s.has_value());
  EXPECT_EQ(s->reason, StopReason::kLength);
  EXPECT_EQ(s->generated_tokens, 320);
}

TEST_F(EngineTest, ASecondTurnPrefillsOnlyWhatIsNew) {
  const std::vector<Token> first = tokens(40, 3);
  ASSERT_TRUE(ask(first, greedy(1))->wait());
  std::vector<Token> second = first;
  const std::vector<Token> more = tokens(20, 4);
  second.insert(second.end(), more.begin(), more.end());
  const auto s = ask(second, greedy(1))->wait();
  ASSERT_TRUE(s.has_value());
  EXPECT_EQ(s->cached_tokens, 40);
  const auto again = ask(second, greedy(1))->wait();
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->cached_tokens, 59) << "the last token is computed for its logits";
}

TEST_F(EngineTest, CancelEndsWithinAStep) {
  auto a = ask(tokens(10, 1), greedy(-1));
  engine_->cancel(a->id);
  const auto s = a->wait();
  ASSERT_TRUE(s.has_value());
  EXPECT_EQ(s->reason, StopReason::kCancelled);
  engine_->cancel(a->id);
  engine_->cancel(424242);
  EXPECT_TRUE(ask(tokens(5, 2), greedy(2))->wait()) << "the engine goes on";
}

TEST_F(EngineTest, MoreRequestsThanPlacesAllGetAnswers) {
  std::vector<std::unique_ptr<Answer>> answers;
  for (uint32_t i = 0; i < 20; ++i) answers.push_back(ask(tokens(5 + i * 9, i), greedy(5)));
  for (auto& a : answers) {
    const auto s = a->wait();
    ASSERT_TRUE(s.has_value());
    EXPECT_EQ(s->generated_tokens, 5);
  }
  EXPECT_EQ(engine_->kv_use().in_use, 0u);
}

TEST_F(EngineTest, TimeLimit) {
  GenerateOptions o = greedy(-1);
  o.n_ctx = 256;
  o.max_seconds = 0.001;
  const auto s = ask(tokens(10, 1), o)->wait();
  ASSERT_TRUE(s.has_value());
  EXPECT_EQ(s->reason, StopReason::kTime);
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
  EXPECT_NE(both.find("256"), std::string::npos) << both;
  GenerateOptions bad = greedy(1);
  bad.sampling.repeat_last_n = -2;
  EXPECT_NE(refused(tokens(4, 1), bad).find("repeat_last_n"), std::string::npos);
  bad = greedy(1);
  bad.n_ctx = 1 << 30;
  EXPECT_NE(refused(tokens(4, 1), bad).find("num_ctx"), std::string::npos);
}

TEST_F(EngineTest, AQueueHasAnEnd) {
  start({.n_ctx = 256, .n_parallel = 1, .max_waiting = 2});
  std::vector<std::unique_ptr<Answer>> answers;
  int refused = 0;
  for (int i = 0; i < 50; ++i) {
    auto a = std::make_unique<Answer>();
    GenerateRequest r;
    r.prompt = tokens(200, 1);
    r.options = greedy(20);
    r.on_done = [p = a.get()](Result<GenerateStats> s) {
      const std::lock_guard lock(p->mutex);
      p->done = std::move(s);
      p->changed.notify_all();
    };
    if (engine_->submit(std::move(r)))
      answers.push_back(std::move(a));
    else
      ++refused;
  }
  EXPECT_GT(refused, 0);
  for (auto& a : answers) EXPECT_TRUE(a->wait());
}

TEST_F(EngineTest, KvMemoryIsCommittedWithUseAndGivenBack) {
  EXPECT_EQ(engine_->kv_use().committed, 0u) << "nothing before the first token";
  ASSERT_TRUE(engine_->fill(256, 4));
  EXPECT_EQ(engine_->kv_use().in_use, 4u * 8 * engine_->kv_block_bytes());
  EXPECT_EQ(ledger_.bytes(memory::Category::kKv), 4u * 8 * engine_->kv_block_bytes());
  ASSERT_TRUE(engine_->fill(0, 0));
  EXPECT_EQ(engine_->kv_use().committed, 0u);
  EXPECT_EQ(ledger_.bytes(memory::Category::kKv), 0u);
}

TEST_F(EngineTest, ShutdownEndsWhatRuns) {
  auto a = ask(tokens(10, 1), greedy(-1));
  auto b = ask(tokens(10, 2), greedy(-1));
  engine_.reset();
  EXPECT_EQ(a->wait()->reason, StopReason::kCancelled);
  const auto s = b->wait();
  EXPECT_TRUE(!s || s->reason == StopReason::kCancelled);
}

}  // namespace
}  // namespace quipu
