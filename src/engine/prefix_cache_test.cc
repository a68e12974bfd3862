// Conversations with and without the cache: what is said, and the log-probability of every token of the
// vocabulary at each step, is the same bit for bit.
#include <random>

#include "engine/engine_fixture.h"
#include "gguf/temporary_folder.h"
#include "model/tiny_model.h"

namespace quipu::test {
namespace {

using kernels::KvType;

constexpr KvTypes kTypes[] = {{KvType::kF16, KvType::kF16},   {KvType::kBf16, KvType::kBf16},
                              {KvType::kQ8_0, KvType::kQ8_0}, {KvType::kQ4_0, KvType::kQ4_0},
                              {KvType::kQ8_0, KvType::kQ4_0}, {KvType::kF32, KvType::kF32}};
constexpr KvTypes kQuantised[] = {
    {KvType::kQ8_0, KvType::kQ8_0}, {KvType::kQ4_0, KvType::kQ4_0}, {KvType::kQ8_0, KvType::kQ4_0}};

// Heads of 64, which the quantised types store rotated; those of the fixture's model are too short for it.
TinyModel rotated_model() {
  TinyModel m{.n_heads = 2, .n_kv_heads = 1, .head_dim_k = 64, .head_dim_v = 64, .n_vocab = 160};
  m.keys = {{"context_length", u32(2048)}};
  return m;
}

class PrefixCache : public EngineTest {
 protected:
  // The next engines run this model.
  void use(const TinyModel& m) {
    engine_.reset();
    model_.reset();
    const std::vector<std::byte> bytes = m.bytes();
    file_ = std::move(*gguf::File::open(
        folder_.write("m.gguf", {reinterpret_cast<const char*>(bytes.data()), bytes.size()})));
    model_ = std::move(*load_model(*file_));
  }

  struct Asked {
    std::vector<Token> prompt;
    GenerateOptions options;
    std::unique_ptr<Answer> answer;
    std::vector<Token> said;
  };

  uint32_t below(size_t n) { return static_cast<uint32_t>(random_() % n); }

  // The next message of one of the chats, or of a new one that starts as others do; now and then with an
  // older message changed, regenerated, or cut.
  std::vector<Token> next_prompt() {
    std::vector<Token> text;
    if (!chats_.empty() && below(4) != 0)
      text = chats_[below(chats_.size())];
    else
      text = tokens(60 + 70 * below(2), 1 + below(2));  // one of two system prompts, in two lengths
    switch (below(6)) {
      case 0:
        if (!text.empty()) text[below(text.size())] = static_cast<Token>(below(150));
        break;
      case 1:
        text.resize(text.size() - below(text.size()));
        break;
      case 2:
        return text;  // the same once more
      default:
        break;
    }
    return joined(text, tokens(1 + below(40), below(20)));
  }

  // A wave of requests that arrive together.
  void wave(std::optional<KvTypes> types) {
    const size_t first = all_.size();
    hold();
    for (uint32_t i = 0; i < 1 + below(6); ++i) {
      Asked a{next_prompt(), sampled(1 + below(longest_answer_), below(5)), nullptr, {}};
      if (a.prompt.size() > longest_prompt_) a.prompt.resize(longest_prompt_);
      a.options.top_logprobs = static_cast<int>(model_->n_vocab());
      a.options.kv_types = types;
      a.options.num_keep = below(40);
      if (below(5) == 0) a.options.n_ctx = static_cast<int64_t>(a.prompt.size()) + 1 + below(20);
      for (boundaries_.clear(); below(3) > 0;) boundaries_.push_back(1 + below(a.prompt.size()));
      std::sort(boundaries_.begin(), boundaries_.end());
      const uint32_t after = below(6) == 0 ? 1 + below(20) : 0;
      auto n = std::make_shared<uint32_t>(0);
      a.answer = ask(a.prompt, a.options, [this, after, n](Answer& answer) {
        const std::lock_guard lock(answer.mutex);
        if (++*n == after) engine_->cancel(answer.id);
      });
      all_.push_back(std::move(a));
      if (below(12) == 0) engine_->cancel(all_.back().answer->id);
    }
    release();
    for (size_t i = first; i < all_.size(); ++i) {
      all_[i].said = all_[i].answer->tokens();
      chats_.push_back(joined(all_[i].prompt, all_[i].said));
      if (chats_.size() > 6) chats_.erase(chats_.begin() + below(chats_.size()));
    }
    EXPECT_EQ(engine_->kv_use().in_use, 0u);
  }

  void nothing_is_left() {
    held_->wait();
    ASSERT_TRUE(engine_->fill(0, 1));
    EXPECT_EQ(engine_->kv_use().cached, 0u);
    EXPECT_EQ(engine_->kv_use().committed, 0u);
    EXPECT_EQ(ledger_.bytes(memory::Category::kKv), 0u);
  }

  // Each as if nobody else had ever been there.
  void compare() {
    const auto n_vocab = static_cast<size_t>(model_->n_vocab());
    start({.n_ctx = 1024, .n_parallel = 1, .keep_prefixes = false}, 1);
    for (Asked& a : all_) {
      const GenerateStats s = a.answer->stats();
      auto alone = ask(a.prompt, a.options);
      std::vector<Token> expected = alone->tokens();
      if (s.reason == StopReason::kCancelled)
        expected.resize(std::min(expected.size(), a.said.size()));
      else
        EXPECT_EQ(s.reason, alone->stats().reason);
      ASSERT_EQ(a.said, expected) << "request " << &a - all_.data();
      ASSERT_EQ(a.answer->logprobs.size(), a.said.size());
      for (size_t i = 0; i < a.said.size(); ++i) {
        const Logprobs &x = a.answer->logprobs[i].logprobs, &y = alone->logprobs[i].logprobs;
        ASSERT_EQ(x.token.id, y.token.id);
        ASSERT_EQ(x.token.logprob, y.token.logprob) << "request " << &a - all_.data() << ", token " << i;
        ASSERT_EQ(x.top.size(), n_vocab);
        ASSERT_EQ(y.top.size(), n_vocab);
        for (size_t k = 0; k < n_vocab; ++k) {
          ASSERT_EQ(x.top[k].id, y.top[k].id);
          ASSERT_EQ(x.top[k].logprob, y.top[k].logprob);
        }
      }
      n_cached_ += s.cached_tokens > 0;
      n_shifted_ += s.context_shifts > 0;
      n_cancelled_ += s.reason == StopReason::kCancelled;
    }
  }

  void each_says_the_same(std::span<const KvTypes> types) {
    for (const KvTypes t : types) {
      EngineOptions o{.n_ctx = 1024, .n_parallel = 4, .kv_types = t};
      start(o);
      chats_.clear();
      for (int i = 0; i < 8; ++i) wave(t);
      nothing_is_left();
    }
    compare();
    EXPECT_GT(n_cached_, all_.size() / 2);
    EXPECT_GT(n_shifted_, 3u);
    EXPECT_GT(n_cancelled_, 3u);
  }

  void little_memory(std::span<const KvTypes> types) {
    longest_prompt_ = 200;
    longest_answer_ = 200;
    uint64_t preemptions = 0, evicted = 0;
    for (const KvTypes t : types)
      for (const uint64_t blocks : {14u, 20u}) {
        EngineOptions o{.n_ctx = 1024, .n_parallel = 4, .kv_types = t};
        o.kv_budget = blocks * model_->kv_block_bytes(t);
        start(o);
        chats_.clear();
        for (int i = 0; i < 6; ++i) {
          wave(t);
          EXPECT_LE(engine_->kv_use().committed, o.kv_budget);
        }
        preemptions += engine_->counters().preemptions;
        evicted += engine_->counters().evicted_blocks;
        nothing_is_left();
      }
    EXPECT_GE(preemptions, 2 * types.size());
    EXPECT_GE(evicted, 2 * types.size());
    compare();
    EXPECT_GT(n_cached_, all_.size() / 3);
  }

  // All types at once, under one ceiling that is too small for them.
  void types_side_by_side() {
    start({.n_ctx = 400, .n_parallel = 2});
    for (int i = 0; i < 40; ++i) wave(kTypes[below(std::size(kTypes))]);
    EXPECT_GT(engine_->counters().evicted_blocks, 0u);
    nothing_is_left();
    compare();
  }

  gguf::test::TemporaryFolder folder_;
  size_t longest_prompt_ = 350, longest_answer_ = 40;
  std::mt19937 random_{11};
  std::vector<std::vector<Token>> chats_;
  std::vector<Asked> all_;
  size_t n_cached_ = 0, n_shifted_ = 0, n_cancelled_ = 0;
};

TEST_F(PrefixCache, EveryTypeSaysTheSameWithIt) { each_says_the_same(kTypes); }
TEST_F(PrefixCache, EveryTypeSaysTheSameWithItRotated) {
  use(rotated_model());
  each_says_the_same(kQuantised);
}

TEST_F(PrefixCache, AlsoWhereThereIsLittleMemory) { little_memory(kTypes); }
TEST_F(PrefixCache, AlsoWhereThereIsLittleMemoryRotated) {
  use(rotated_model());
  little_memory(kQuantised);
}

TEST_F(PrefixCache, TypesSideBySide) { types_side_by_side(); }
TEST_F(PrefixCache, TypesSideBySideRotated) {
  use(rotated_model());
  types_side_by_side();
}

TEST_F(PrefixCache, LayersWithWindows) {
  for (const uint32_t window : {1u, 20u, 33u, 64u, 150u})
    for (const auto& pattern : std::vector<std::vector<int32_t>>{{1, 0, 1}, {1, 1, 1}}) {
      TinyModel m{.arch = "granite_swa", .n_layers = 3, .n_vocab = 160};
      m.keys = {{"context_length", u32(2048)},
                {"attention.sliding_window", u32(window)},
                {"attention.sliding_window_pattern", i32s(pattern)}};
      // Some with heads that are rotated.
      if (pattern[1] == 1) m.n_heads = 2, m.n_kv_heads = 1, m.head_dim_k = m.head_dim_v = 64;
      use(m);
      all_.clear();
      for (const uint64_t blocks : {1000u, 20u}) {
        EngineOptions o{.n_ctx = 1024, .n_parallel = 4, .kv_types = kTypes[window % 6]};
        o.kv_budget = blocks * model_->kv_block_bytes(o.kv_types);
        start(o);
        chats_.clear();
        for (int i = 0; i < 8; ++i) {
          wave(o.kv_types);
          EXPECT_LE(engine_->kv_use().committed, o.kv_budget);
        }
        nothing_is_left();
      }
      n_cached_ = 0;
      compare();
      EXPECT_GT(n_cached_, all_.size() / 4) << "window " << window;
    }
}

}  // namespace
}  // namespace quipu::test
