// An answer depends on model, prompt, options and seed: not on company, cache, chunks, threads or
// interruptions.
#include <cstdlib>
#include <random>

#include "engine/engine_fixture.h"

namespace quipu::test {
namespace {

struct Case {
  std::vector<Token> prompt;
  GenerateOptions options;
};

class Invariance : public EngineTest {
 protected:
  // What the engine says with nothing cached and nobody else there.
  std::vector<Token> alone(const std::vector<Token>& prompt, const GenerateOptions& options) {
    start({.n_ctx = 2048, .n_parallel = 1, .keep_prefixes = false}, 1);
    return ask(prompt, options)->tokens();
  }

  static std::vector<Case> cases() {
    std::vector<Case> all;
    for (uint32_t i = 0; i < 7; ++i) {
      GenerateOptions o = i % 3 == 0 ? greedy(30) : sampled(20 + 4 * i, 100 + i);
      o.n_threads = static_cast<int>(i % 3);
      if (i == 4) o.n_ctx = 60;  // shifts its context
      all.push_back({tokens(i == 4 ? 50 : 1 + i * 90, i), o});
    }
    return all;
  }
};

TEST_F(Invariance, BatchedEqualsAlone) {
  std::vector<std::vector<Token>> expected;
  for (const Case& c : cases()) expected.push_back(alone(c.prompt, c.options));
  for (const int64_t n_parallel : {2, 4, 7})
    for (const int n_threads : {1, 2, 3}) {
      start({.n_ctx = 2048, .n_parallel = n_parallel}, n_threads);
      hold();
      std::vector<std::unique_ptr<Answer>> answers;
      for (const Case& c : cases()) answers.push_back(ask(c.prompt, c.options));
      release();
      for (size_t i = 0; i < answers.size(); ++i)
        ASSERT_EQ(answers[i]->tokens(), expected[i])
            << "case " << i << ", parallel " << n_parallel << ", threads " << n_threads;
    }
}

// Three requests wait together: a long prompt, a short one and one that is already decoding. The long one
// delays nobody.
TEST_F(Invariance, AShortPromptIsNotHeldUpByALongOne) {
  start({.n_ctx = 4096, .n_parallel = 4});
  hold();
  std::mutex mutex;
  std::vector<char> order;
  const auto note = [&](char c) {
    return [&order, &mutex, c](Answer&) {
      const std::lock_guard lock(mutex);
      order.push_back(c);
    };
  };
  auto l = ask(tokens(3000, 1), greedy(1), note('l')), m = ask(tokens(400, 2), greedy(1), note('m')),
       s = ask(tokens(20, 3), greedy(4), note('s'));
  release();
  l->wait(), m->wait(), s->wait();
  // 20 rows and twice 118; then 63 in two shares beside the one that decodes; then 128 each.
  EXPECT_EQ(std::string(order.begin(), order.end()), "ssssml");
}

TEST_F(Invariance, CachedEqualsUncached) {
  const std::vector<Token> first = tokens(75, 3), question = tokens(21, 4);
  const std::vector<Token> answer = alone(first, sampled(40, 5));
  const std::vector<Token> second = joined(joined(first, answer), question);
  const std::vector<Token> expected = alone(second, sampled(40, 6));

  start({.n_ctx = 2048, .n_parallel = 2});
  ASSERT_EQ(ask(first, sampled(40, 5))->tokens(), answer);
  auto a = ask(second, sampled(40, 6));
  EXPECT_EQ(a->tokens(), expected);
  EXPECT_EQ(a->stats().cached_tokens, 75 + 40 - 1)
      << "of what was generated only the last token was never computed";
  auto again = ask(second, sampled(40, 6));
  EXPECT_EQ(again->tokens(), expected);
  EXPECT_EQ(again->stats().cached_tokens, static_cast<int64_t>(second.size()) - 1)
      << "the last one is computed for its logits";
  start({.n_ctx = 2048, .n_parallel = 2, .keep_prefixes = false});
  ask(first, greedy(1))->wait();
  EXPECT_EQ(ask(first, greedy(1))->stats().cached_tokens, 0);
  EXPECT_EQ(engine_->kv_use().cached, 0u);
}

TEST_F(Invariance, ACancelledAnswerIsGoneOnFrom) {
  const std::vector<Token> first = tokens(45, 8);
  start({.n_ctx = 2048, .n_parallel = 2});
  auto cancelled = ask(first, sampled(-1, 5), [this](Answer& a) {
    const std::lock_guard lock(a.mutex);
    if (a.id != 0 && numbers(a.text).size() >= 20) engine_->cancel(a.id);
  });
  ASSERT_EQ(cancelled->stats().reason, StopReason::kCancelled);
  const std::vector<Token> part = cancelled->tokens();
  ASSERT_GE(part.size(), 20u);
  const std::vector<Token> second = joined(joined(first, part), tokens(11, 9));
  auto a = ask(second, sampled(30, 6));
  EXPECT_EQ(a->stats().cached_tokens, static_cast<int64_t>(first.size() + part.size()) - 1);
  const std::vector<Token> got = a->tokens();
  EXPECT_EQ(got, alone(second, sampled(30, 6)));
}

// Two conversations with the same beginning take turns: neither loses its own.
TEST_F(Invariance, ConversationsThatBeginAlikeDoNotDisturbEachOther) {
  const std::vector<Token> system = tokens(70, 20);
  std::vector<Token> a = joined(system, tokens(50, 21)), b = joined(system, tokens(60, 22));
  start({.n_ctx = 2048, .n_parallel = 3});
  struct Said {
    std::vector<Token> prompt, answer;
    int turn;
  };
  std::vector<Said> said;
  for (int turn = 0; turn < 3; ++turn)
    for (std::vector<Token>* c : {&a, &b}) {
      auto answer = ask(*c, sampled(10, turn));
      const int64_t cached = answer->stats().cached_tokens;
      if (turn > 0)
        EXPECT_EQ(cached, static_cast<int64_t>(c->size()) - 7 - 1) << "turn " << turn;
      else
        EXPECT_EQ(cached, c == &a ? 0 : 70) << "what they share is computed once";
      said.push_back({*c, answer->tokens(), turn});
      *c = joined(joined(*c, answer->tokens()), tokens(7, 30 + static_cast<uint32_t>(turn)));
    }
  for (const Said& s : said) EXPECT_EQ(s.answer, alone(s.prompt, sampled(10, s.turn))) << "turn " << s.turn;
}

TEST_F(Invariance, RunningSequencesShareWhatTheyHaveInCommon) {
  const std::vector<Token> system = tokens(300, 40);
  std::vector<std::vector<Token>> expected;
  std::vector<std::vector<Token>> prompts;
  for (uint32_t i = 0; i < 4; ++i) prompts.push_back(joined(system, tokens(5 + 9 * i, 41 + i)));
  for (const auto& p : prompts) expected.push_back(alone(p, sampled(60, 7)));
  start({.n_ctx = 2048, .n_parallel = 4});
  auto first = ask(prompts[0], sampled(60, 7), {});
  std::vector<std::unique_ptr<Answer>> others;
  for (size_t i = 1; i < 4; ++i) others.push_back(ask(prompts[i], sampled(60, 7)));
  EXPECT_EQ(first->tokens(), expected[0]);
  for (size_t i = 1; i < 4; ++i) EXPECT_EQ(others[i - 1]->tokens(), expected[i]);
}

// After a shift the answer goes on as a fresh request with the remaining text would.
TEST_F(Invariance, AShiftEqualsAFreshRequest) {
  for (const bool add_bos : {false, true})
    for (const int64_t num_keep : {-1, 0, 4, 100}) {
      tokenizer_.special_tokens.add_bos = add_bos;
      constexpr int64_t kContext = 50;
      const std::vector<Token> prompt = tokens(20, 50);
      GenerateOptions o = greedy(120);
      o.n_ctx = kContext;
      o.num_keep = num_keep;
      start({.n_ctx = 2048, .n_parallel = 1, .keep_prefixes = false});
      auto a = ask(prompt, o);
      const std::vector<Token> got = a->tokens();
      ASSERT_EQ(got.size(), 120u);

      const int64_t asked = num_keep < 0 ? 20 : num_keep + (add_bos ? 1 : 0);
      const int64_t keep = std::min(asked, kContext - 4);
      std::vector<Token> text = prompt;
      int64_t shifts = 0;
      for (size_t i = 0; i < got.size(); ++i) {
        if (static_cast<int64_t>(text.size()) > kContext) {
          text.erase(text.begin() + keep, text.begin() + keep + (kContext - keep) / 2);
          ++shifts;
          ASSERT_EQ(ask(text, greedy(1))->tokens(), std::vector<Token>{got[i]})
              << "token " << i << ", keep " << keep;
        }
        text.push_back(got[i]);
      }
      EXPECT_EQ(a->stats().context_shifts, shifts);
      EXPECT_GT(shifts, 1);
    }
}

TEST_F(Invariance, AfterAShiftTheConversationIsStillCached) {
  const std::vector<Token> prompt = tokens(20, 50);
  GenerateOptions o = greedy(60);
  o.n_ctx = 50;
  o.num_keep = 10;
  auto a = ask(prompt, o);
  std::vector<Token> text = joined(prompt, a->tokens());
  ASSERT_EQ(a->stats().context_shifts, 2);
  // 50 and one: 20 of the 40 after the first ten go; the same once more.
  text.erase(text.begin() + 10, text.begin() + 50);
  const std::vector<Token> second = joined(text, tokens(5, 51));
  auto b = ask(second, greedy(10));
  EXPECT_EQ(b->stats().cached_tokens, static_cast<int64_t>(text.size()) - 1);
  const std::vector<Token> got = b->tokens();
  EXPECT_EQ(got, alone(second, greedy(10)));
}

// Conversations that branch, go on, are cancelled, shift their contexts and fight for memory, in waves of
// random size: whatever each of them says is what it would have said alone.
TEST_F(Invariance, RandomCompany) {
  std::mt19937 random(2);
  const auto below = [&](uint32_t n) { return static_cast<uint32_t>(random() % n); };
  struct Asked {
    Case request;
    std::unique_ptr<Answer> answer;
  };
  std::vector<Asked> all;
  for (const int64_t n_parallel : {2, 4}) {
    EngineOptions o{.n_ctx = 1024, .n_parallel = n_parallel};
    const uint64_t budget = 24 * model_->kv_block_bytes({});
    if (n_parallel == 2)
      o.kv_budget = budget;
    else
      o.kv_room = [this, budget] { return budget - std::min(budget, ledger_.bytes(memory::Category::kKv)); };
    start(o);
    std::vector<std::vector<Token>> histories(3);
    for (int wave = 0; wave < 12; ++wave) {
      hold();
      const size_t first = all.size();
      for (uint32_t i = 0; i < 1 + below(5); ++i) {
        std::vector<Token> history = histories[below(3)];
        history.resize(history.size() - std::min<size_t>(history.size(), below(4) == 0 ? below(40) : 0));
        Case c{joined(history, tokens(1 + below(60), random())), sampled(1 + below(60), below(5))};
        if (c.prompt.size() > 400) c.prompt.resize(400);
        if (below(4) == 0) c.options.n_ctx = static_cast<int64_t>(c.prompt.size()) + 1 + below(30);
        const bool cancels = below(5) == 0;
        const uint32_t after = 1 + below(20);
        auto n = std::make_shared<uint32_t>(0);
        auto a = ask(c.prompt, c.options, [this, cancels, after, n](Answer& answer) {
          const std::lock_guard lock(answer.mutex);
          if (++*n == after && cancels) engine_->cancel(answer.id);
        });
        all.push_back({std::move(c), std::move(a)});
      }
      release();
      for (size_t i = first; i < all.size(); ++i) {
        histories[below(3)] = joined(all[i].request.prompt, all[i].answer->tokens());
        EXPECT_LE(engine_->kv_use().committed, budget);
      }
    }
  }
  size_t cached = 0, cancelled = 0, shifted = 0;
  for (Asked& a : all) {
    const GenerateStats s = a.answer->stats();
    std::vector<Token> expected = alone(a.request.prompt, a.request.options);
    if (s.reason == StopReason::kCancelled && expected.size() > a.answer->tokens().size())
      expected.resize(a.answer->tokens().size());
    else
      EXPECT_EQ(s.reason, StopReason::kLength);
    ASSERT_EQ(a.answer->tokens(), expected) << "request " << &a - all.data();
    cached += s.cached_tokens > 0;
    cancelled += s.reason == StopReason::kCancelled;
    shifted += s.context_shifts > 0;
  }
  EXPECT_GT(cached, all.size() / 4);
  EXPECT_GT(cancelled, 0u);
  EXPECT_GT(shifted, 0u);
}

// With the demo model and its real tokenizer: a second turn computes only what is new, and says the same.
TEST(DemoModel, ASecondTurnSaysTheSameFromTheCache) {
  const char* path = std::getenv("QUIPU_DEMO_MODEL");
  if (path == nullptr) GTEST_SKIP() << "QUIPU_DEMO_MODEL is not set";
  auto file = std::move(*gguf::File::open(path));
  auto model = std::move(*load_model(*file));
  auto tokenizer = std::move(*Tokenizer::load(*file));
  auto pool = std::move(*ThreadPool::create(2));
  const memory::ModelShape shape = model->shape(2);
  const auto run = [&](bool keep) {
    memory::Ledger ledger;
    auto workspace =
        std::move(*memory::Arena::create(shape.workspace_bytes, memory::Category::kWorkspace, ledger));
    memory::RuntimeOptions runtime;
    std::vector<std::byte> output(memory::plan(shape, runtime).bytes(memory::Category::kOutput));
    EngineOptions options;
    options.n_ctx = 512;
    options.n_parallel = 1;
    options.keep_prefixes = keep;
    auto engine =
        std::move(*Engine::create(*model, tokenizer.get(), *pool,
                                  std::move(*model->make_workspace(workspace, 2)), output, options, ledger));
    std::string text = "<|im_start|>user\nName three colours.<|im_end|>\n<|im_start|>assistant\n";
    std::vector<std::string> answers;
    std::vector<int64_t> cached;
    for (int turn = 0; turn < 2; ++turn) {
      Answer a;
      GenerateRequest r;
      r.prompt = tokenizer->encode(text, true, true);
      r.options.sampling.seed = 7;
      r.options.num_predict = 16;
      r.on_piece = [&](const AnswerPiece& piece) { a.text += piece.text; };
      r.on_done = [&](Result<GenerateStats> s) {
        const std::lock_guard lock(a.mutex);
        a.done = std::move(s);
        a.changed.notify_all();
      };
      EXPECT_TRUE(engine->submit(std::move(r)));
      cached.push_back(a.stats().cached_tokens);
      answers.push_back(a.text);
      text += a.text + "<|im_end|>\n<|im_start|>user\nAnd a fourth?<|im_end|>\n<|im_start|>assistant\n";
    }
    EXPECT_EQ(cached[1] > 20, keep) << cached[1];
    return answers;
  };
  const auto cached = run(true), fresh = run(false);
  EXPECT_EQ(cached, fresh);
  EXPECT_FALSE(fresh[1].empty());
}

}  // namespace
}  // namespace quipu::test
