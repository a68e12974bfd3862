// Models with layers that see only a window: answers, and the memory they take.
#include "engine/engine_fixture.h"
#include "gguf/temporary_folder.h"
#include "model/local_model.h"
#include "model/tiny_model.h"

namespace quipu::test {
namespace {

class EngineWindow : public EngineTest {
 protected:
  void SetUp() override { make(40, {1, 1, 0}); }

  void make(uint32_t window, const std::vector<int32_t>& pattern) {
    engine_.reset();
    model_.reset();
    TinyModel m{.arch = "granite_swa", .n_layers = 3, .n_vocab = 160};
    m.keys = {{"context_length", u32(8192)},
              {"attention.sliding_window", u32(window)},
              {"attention.sliding_window_pattern", i32s(pattern)}};
    const std::vector<std::byte> bytes = m.bytes();
    path_ = folder_.write("m.gguf", {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    file_ = std::move(*gguf::File::open(path_));
    model_ = std::move(*load_model(*file_));
  }

  uint64_t group_bytes(size_t g) const { return model_->kv_layouts({})[g].block_bytes(); }

  gguf::test::TemporaryFolder folder_;
  std::string path_;
};

// Every token's logits as without an engine, where no block is ever dropped and prompts come in other chunks.
TEST_F(EngineWindow, AnswersAreThoseOfTheWholeCache) {
  for (const uint32_t window : {1u, 31u, 32u, 33u, 40u, 65u, 300u, 5000u})
    for (const auto& pattern : std::vector<std::vector<int32_t>>{{1, 1, 0}, {1, 1, 1}}) {
      make(window, pattern);
      const std::vector<Token> prompt = tokens(410, window);
      LocalOptions local;
      local.n_ctx = 1024;
      local.chunk = 77;
      local.n_threads = 1;
      auto whole = std::move(*LocalModel::open(path_, local));
      std::vector<Token> expected;
      std::vector<float> probabilities;
      std::vector<Token> next = prompt;
      for (int i = 0; i < 100; ++i) {
        ASSERT_TRUE(whole->feed(next, static_cast<int64_t>(next.size()) - 1,
                                [&](int64_t, std::span<const float> row) {
                                  const auto best = std::max_element(row.begin(), row.end());
                                  next = {static_cast<Token>(best - row.begin())};
                                  probabilities.push_back(sampling::LogSoftmax(row)(*best));
                                }));
        expected.push_back(next[0]);
      }
      start({.n_ctx = 1024, .n_parallel = 3});
      hold();
      GenerateOptions o = greedy(100);
      o.top_logprobs = 0;
      auto other = ask(tokens(200, 9), greedy(30)), a = ask(prompt, o),
           third = ask(tokens(20, 10), greedy(50));
      release();
      ASSERT_EQ(a->tokens(), expected) << "window " << window;
      for (size_t i = 0; i < expected.size(); ++i)
        ASSERT_EQ(a->logprobs[i].logprobs.token.logprob, probabilities[i])
            << "window " << window << ", " << i;
      other->wait(), third->wait();
      EXPECT_EQ(engine_->kv_use().in_use, 0u);
    }
}

// However long it gets, it holds what its window reaches.
TEST_F(EngineWindow, WhatIsBehindTheWindowGoes) {
  make(64, {1, 1, 1});
  start({.n_ctx = 6000, .n_parallel = 1});
  uint64_t most = 0, at = 0;
  auto a = ask(tokens(5000, 1), greedy(300), [&](Answer&) {
    if (at++ == 0) return;
    most = std::max(most, engine_->kv_use().in_use / group_bytes(0));
  });
  EXPECT_EQ(a->stats().generated_tokens, 300);
  EXPECT_EQ(most, (64 + 32) / 32u);
  EXPECT_EQ(a->stats().kv_bytes, 3 * group_bytes(0));
  memory::RuntimeOptions runtime;
  runtime.n_ctx = 6000;
  EXPECT_LE(engine_->kv_use().committed, memory::plan(model_->shape(1), runtime).kv_ceiling);

  make(64, {1, 0, 1});
  start({.n_ctx = 6000, .n_parallel = 4});
  std::vector<std::unique_ptr<Answer>> all;
  for (uint32_t i = 0; i < 4; ++i) all.push_back(ask(tokens(1000 + 500 * i, i), greedy(20)));
  for (auto& x : all) {
    const uint64_t n = static_cast<uint64_t>(&x - all.data()) * 500 + 1000 + 20 - 1;
    EXPECT_EQ(x->stats().kv_bytes, (n + 31) / 32 * group_bytes(0) + 3 * group_bytes(1));
  }
  runtime.n_parallel = 4;
  EXPECT_LE(engine_->kv_use().committed, memory::plan(model_->shape(1), runtime).kv_ceiling);
}

// The plan for tokens in use is what is in use.
TEST_F(EngineWindow, ThePlanIsWhatIsCommitted) {
  make(64, {1, 0, 1});
  for (const int64_t n : {1, 32, 64, 96, 97, 128, 500, 3000}) {
    start({.n_ctx = 6000, .n_parallel = 2});
    ASSERT_TRUE(engine_->fill(n, 1));
    memory::RuntimeOptions runtime;
    runtime.tokens_in_use = n;
    const uint64_t planned = memory::plan(model_->shape(1), runtime).bytes(memory::Category::kKv);
    // With the last token at a block's end the next one's block is not there yet.
    EXPECT_LE(engine_->kv_use().in_use, planned) << n;
    EXPECT_GE(engine_->kv_use().in_use + group_bytes(1), planned) << n;
    EXPECT_EQ(engine_->kv_use().planned, ledger_.bytes(memory::Category::kKv)) << n;
    ASSERT_TRUE(engine_->fill(0, 0));
    EXPECT_EQ(ledger_.bytes(memory::Category::kKv), 0u);
  }
}

// From where a text can be gone on: the ends of prompt and answer, and where messages end.
TEST_F(EngineWindow, TextsAreGoneOnFromTheirPoints) {
  for (const auto& pattern : std::vector<std::vector<int32_t>>{{1, 0, 1}, {1, 1, 1}}) {
    make(50, pattern);
    start({.n_ctx = 1024, .n_parallel = 6});
    const std::vector<Token> prompt = tokens(600, 1);
    boundaries_ = {100, 200, 300, 470, 560};
    auto a = ask(prompt, greedy(90));
    const std::vector<Token> whole = joined(prompt, a->tokens());
    boundaries_ = {};
    const auto cached = [&](size_t n_common) {
      return ask(joined(
                     std::vector<Token>(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n_common)),
                     {149, 148, 147}),
                 greedy(1))
          ->stats()
          .cached_tokens;
    };
    EXPECT_EQ(cached(690), 689);
    EXPECT_EQ(cached(600), 600);
    EXPECT_EQ(cached(560), 560);
    EXPECT_EQ(cached(470), 470);
    EXPECT_LE(cached(300), 128) << "not one of the last two";
    EXPECT_EQ(cached(100), 100) << "the first is a system prompt's, most often";
    EXPECT_GT(engine_->kv_use().cached, 0u);
    EXPECT_EQ(engine_->kv_use().in_use, 0u);
    auto again = ask(prompt, greedy(90));
    EXPECT_EQ(again->stats().cached_tokens, 599);
    EXPECT_EQ(joined(prompt, again->tokens()), whole);
  }
}

// Chats with one system prompt that come together compute it once.
TEST_F(EngineWindow, WhatChatsHaveInCommonIsComputedOnce) {
  start({.n_ctx = 2048, .n_parallel = 4});
  hold();
  std::vector<std::unique_ptr<Answer>> answers;
  for (uint32_t i = 0; i < 4; ++i)
    answers.push_back(ask(joined(tokens(960, 1), tokens(10 + i, 2 + i)), greedy(20)));
  release();
  int64_t cached = 0;
  for (auto& a : answers) cached += a->stats().cached_tokens;
  EXPECT_GE(cached, 3 * 960);
}

// Pauses, shifts and cancellations where a beginning cannot be gone on from.
TEST_F(EngineWindow, LittleMemory) {
  std::vector<std::vector<Token>> expected;
  std::vector<GenerateOptions> options;
  for (uint32_t i = 0; i < 6; ++i) {
    options.push_back(sampled(150, i));
    if (i % 2 == 1) options.back().n_ctx = 200;  // shifts
    start({.n_ctx = 1024, .n_parallel = 1}, 1);
    expected.push_back(ask(tokens(30 + 30 * i, i), options[i])->tokens());
  }
  for (const uint64_t blocks : {14u, 20u, 30u}) {
    EngineOptions o{.n_ctx = 1024, .n_parallel = 4};
    o.kv_budget = blocks * model_->kv_block_bytes({});
    start(o);
    hold();
    std::vector<std::unique_ptr<Answer>> answers;
    for (uint32_t i = 0; i < 6; ++i) answers.push_back(ask(tokens(30 + 30 * i, i), options[i]));
    auto gone = ask(tokens(100, 9), greedy(50));
    engine_->cancel(gone->id);
    release();
    for (size_t i = 0; i < 6; ++i) {
      EXPECT_EQ(answers[i]->tokens(), expected[i]) << i << ", " << blocks << " blocks";
      EXPECT_EQ(answers[i]->stats().reason, StopReason::kLength);
    }
    EXPECT_LE(engine_->kv_use().committed, o.kv_budget);
    EXPECT_EQ(engine_->kv_use().in_use, 0u);
  }
}

}  // namespace
}  // namespace quipu::test
