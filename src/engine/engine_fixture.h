// A tiny model under an engine, and a way to ask and wait. Tests only.
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "memory/arena.h"
#include "model/test_models.h"

namespace quipu::test {

// Every token is its number and a space, so that an answer's text says which tokens it has.
class NumberTokenizer : public Tokenizer {
 public:
  std::vector<Token> encode(std::string_view, bool, bool) const override { return {}; }
  std::string piece(Token id, bool) const override { return all_alike ? "ha " : std::to_string(id) + " "; }
  std::string decode(std::span<const Token>, bool, bool) const override { return {}; }
  int32_t size() const override { return 0; }
  std::string_view text(Token) const override { return {}; }
  const SpecialTokens& special() const override { return special_tokens; }
  bool is_control(Token) const override { return false; }
  bool is_end_of_generation(Token id) const override { return id == end; }
  std::span<const Token> end_of_generation() const override { return {}; }
  size_t memory_bytes() const override { return 0; }

  SpecialTokens special_tokens;
  Token end = -1;
  bool all_alike = false;
};

inline std::vector<Token> numbers(const std::string& text) {
  std::vector<Token> out;
  for (size_t at = 0; at < text.size(); at = text.find(' ', at) + 1)
    out.push_back(std::stoi(text.substr(at)));
  return out;
}

struct Answer {
  std::mutex mutex;
  std::condition_variable changed;
  std::optional<Result<GenerateStats>> done;
  std::string text;
  struct Shown {
    Logprobs logprobs;
    size_t text_size;  // with the piece that brought them
  };
  std::vector<Shown> logprobs;
  int n_done = 0, n_started = 0;
  uint64_t id = 0;

  Result<GenerateStats> wait() {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return done.has_value(); });
    return *done;
  }
  GenerateStats stats() {
    auto r = wait();
    EXPECT_TRUE(r.has_value()) << r.error().message;
    return r.value_or(GenerateStats{});
  }
  std::vector<Token> tokens() {
    wait();
    return numbers(text);
  }
};

class EngineTest : public testing::Test {
 protected:
  void SetUp() override { start({.n_ctx = 256, .n_parallel = 4}); }

  void start(EngineOptions options, int n_threads = 2) {
    engine_.reset();
    if (model_ == nullptr) {
      auto file = gguf::File::open(files_.path);
      ASSERT_TRUE(file.has_value());
      file_ = std::move(*file);
      auto model = load_model(*file_);
      ASSERT_TRUE(model.has_value());
      model_ = std::move(*model);
    }
    pool_ = std::move(*ThreadPool::create(n_threads));
    const memory::ModelShape shape = model_->shape(n_threads);
    workspace_ =
        std::move(*memory::Arena::create(shape.workspace_bytes, memory::Category::kWorkspace, ledger_));
    memory::RuntimeOptions runtime;
    runtime.n_parallel = options.n_parallel;
    output_.resize(memory::plan(shape, runtime).bytes(memory::Category::kOutput));
    auto ws = model_->make_workspace(workspace_, n_threads);
    ASSERT_TRUE(ws.has_value());
    auto engine =
        Engine::create(*model_, &tokenizer_, *pool_, std::move(*ws), output_, std::move(options), ledger_);
    ASSERT_TRUE(engine.has_value()) << engine.error().message;
    engine_ = std::move(*engine);
  }

  using OnText = std::function<void(Answer&)>;  // called after each piece of text, without the answer's lock

  std::unique_ptr<Answer> ask(std::vector<Token> prompt, GenerateOptions options, OnText on_text = {}) {
    auto a = std::make_unique<Answer>();
    GenerateRequest r;
    r.prompt = std::move(prompt);
    r.boundaries = boundaries_;
    r.options = std::move(options);
    r.on_start = [p = a.get()] {
      const std::lock_guard lock(p->mutex);
      ++p->n_started;
    };
    r.on_piece = [p = a.get(), on_text](const AnswerPiece& piece) {
      {
        const std::lock_guard lock(p->mutex);
        p->text += piece.text;
        for (const Logprobs& l : piece.logprobs) p->logprobs.push_back({l, p->text.size()});
      }
      if (on_text) on_text(*p);
    };
    r.on_done = [p = a.get()](Result<GenerateStats> s) {
      const std::lock_guard lock(p->mutex);
      p->done = std::move(s);
      ++p->n_done;
      p->changed.notify_all();
    };
    auto id = engine_->submit(std::move(r));
    EXPECT_TRUE(id.has_value()) << id.error().message;
    const std::lock_guard lock(a->mutex);
    a->id = id.value_or(0);
    return a;
  }

  struct Vector {
    std::mutex mutex;
    std::condition_variable changed;
    std::optional<Result<std::vector<float>>> done;
    uint64_t id = 0;

    Result<std::vector<float>> wait() {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return done.has_value(); });
      return *done;
    }
    std::vector<float> values() {
      const auto r = wait();
      EXPECT_TRUE(r.has_value()) << r.error().message;
      return r.value_or(std::vector<float>());
    }
  };

  std::unique_ptr<Vector> embed(std::vector<Token> of, RunLimits limits = {}) {
    auto v = std::make_unique<Vector>();
    EmbedRequest r;
    r.tokens = std::move(of);
    r.limits = limits;
    r.on_done = [p = v.get()](Result<std::vector<float>> values) {
      const std::lock_guard lock(p->mutex);
      EXPECT_FALSE(p->done) << "a second end";
      p->done = std::move(values);
      p->changed.notify_all();
    };
    auto id = engine_->submit(std::move(r));
    EXPECT_TRUE(id.has_value()) << id.error().message;
    const std::lock_guard lock(v->mutex);
    v->id = id.value_or(0);
    return v;
  }

  static GenerateOptions greedy(std::optional<int64_t> n) {
    GenerateOptions o;
    o.sampling.temperature = 0;
    o.num_predict = n;
    o.repeat_guard = false;
    return o;
  }

  // Everything on, so that whatever disturbs a sequence shows.
  static GenerateOptions sampled(std::optional<int64_t> n, int64_t seed) {
    GenerateOptions o = greedy(n);
    o.sampling.temperature = 1.5f;
    o.sampling.top_k = 60;
    o.sampling.repeat_penalty = 1.1f;
    o.sampling.frequency_penalty = 0.1f;
    o.sampling.seed = seed;
    return o;
  }

  static std::vector<Token> tokens(size_t n, uint32_t seed) {
    std::vector<Token> t(n);
    for (Token& x : t) x = static_cast<Token>((seed = seed * 1664525u + 1013904223u) >> 8) % 150;
    return t;
  }

  static std::vector<Token> joined(std::vector<Token> a, const std::vector<Token>& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
  }

  // The engine's thread waits in a callback between hold() and release(): what is submitted meanwhile arrives
  // together.
  void hold() {
    GenerateOptions o = greedy(1);
    held_ = ask({1, 2, 3}, o, [this](Answer&) {
      std::unique_lock lock(gate_);
      holding_ = true;
      gate_changed_.notify_all();
      gate_changed_.wait(lock, [&] { return !holding_; });
    });
    std::unique_lock lock(gate_);
    gate_changed_.wait(lock, [&] { return holding_; });
  }
  void release() {
    const std::lock_guard lock(gate_);
    holding_ = false;
    gate_changed_.notify_all();
  }

  TestModel files_{"llama-plain"};
  NumberTokenizer tokenizer_;
  std::vector<int64_t> boundaries_;  // of the next prompts
  memory::Ledger ledger_;
  std::unique_ptr<gguf::File> file_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<ThreadPool> pool_;
  memory::Arena workspace_;
  std::vector<std::byte> output_;
  std::mutex gate_;
  std::condition_variable gate_changed_;
  bool holding_ = false;
  std::unique_ptr<Answer> held_;
  std::unique_ptr<Engine> engine_;
};

}  // namespace quipu::test
