// The real demo model against reference values: logits, teacher-forced argmax, perplexity, and a golden hash
// that must come out on every machine and instruction set. QUIPU_DEMO_MODEL names the file; scripts/test sets
// it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/test_data.h"
#include "kernels/dispatch.h"
#include "model/local_model.h"
#include "tokenizer/tokenizer.h"

namespace quipu {
namespace {

constexpr size_t kTextTokens = 3127;  // of text.txt, by the reference's tokenizer
const std::string kData = std::string(QUIPU_TESTDATA) + "/smollm2/";

class SmolLm2 : public testing::Test {
 protected:
  void SetUp() override {
    const char* path = std::getenv("QUIPU_DEMO_MODEL");
    if (path == nullptr || *path == '\0') GTEST_SKIP() << "QUIPU_DEMO_MODEL is not set";
    path_ = path;
    prompts_ = nlohmann::json::parse(test::read_file(kData + "prompts.json"))["prompts"];
  }

  std::unique_ptr<LocalModel> open(bool exact, kernels::KvType kv, int threads = 2) {
    LocalOptions o;
    o.n_ctx = 1024;
    o.n_outputs = 64;
    o.kv_types = {kv, kv};
    o.n_threads = threads;
    o.exact_activations = exact;
    auto m = LocalModel::open(path_, o);
    EXPECT_TRUE(m.has_value()) << (m ? "" : m.error().message);
    return m ? std::move(*m) : nullptr;
  }

  static std::vector<float> last_logits(LocalModel& m, const std::vector<int32_t>& tokens) {
    m.rewind(0, 0);
    std::vector<float> row;
    EXPECT_TRUE(m.feed(tokens, static_cast<int64_t>(tokens.size()) - 1,
                       [&](int64_t, std::span<const float> r) { row.assign(r.begin(), r.end()); }));
    return row;
  }

  struct Distance {
    double max = 0, rms = 0;
  };
  static Distance distance(const std::vector<float>& a, const std::vector<float>& b) {
    double max = 0, sum = 0, target = 0;
    for (size_t i = 0; i < b.size(); ++i) {
      const double d = static_cast<double>(a[i]) - b[i];
      max = std::max(max, std::abs(d));
      sum += d * d;
      target += static_cast<double>(b[i]) * b[i];
    }
    const double rms = std::sqrt(target / static_cast<double>(b.size()));
    return {max / rms, std::sqrt(sum / static_cast<double>(b.size())) / rms};
  }

  std::string path_;
  nlohmann::json prompts_;
};

TEST_F(SmolLm2, LogitsWithFloatActivationsAreExact) {
  auto m = open(true, kernels::KvType::kF32);
  ASSERT_NE(m, nullptr);
  for (const auto& p : prompts_) {
    const std::string name = p["name"];
    const auto want = test::floats(test::read_xz(kData + name + ".logits.f32.xz"));
    EXPECT_LE(distance(last_logits(*m, p["tokens"]), want).max, 1e-3) << name;
  }
}

TEST_F(SmolLm2, LogitsWithInt8ActivationsAreNear) {
  auto m = open(false, kernels::KvType::kF16);
  ASSERT_NE(m, nullptr);
  for (const auto& p : prompts_) {
    const std::string name = p["name"];
    const auto want = test::floats(test::read_xz(kData + name + ".logits.f32.xz"));
    const Distance d = distance(last_logits(*m, p["tokens"]), want);
    EXPECT_LE(d.max, 0.12) << name;
    EXPECT_LE(d.rms, 0.04) << name;
  }
}

// Feed the reference's answer; wherever its best token leads by 0.3 or more, ours must be the same.
TEST_F(SmolLm2, TeacherForcedArgmaxAgrees) {
  auto m = open(false, kernels::KvType::kF16);
  ASSERT_NE(m, nullptr);
  for (const auto& p : prompts_) {
    auto tokens = p["tokens"].get<std::vector<int32_t>>();
    const auto greedy = p["greedy"].get<std::vector<int32_t>>();
    const auto gaps = p["greedy_gaps"].get<std::vector<double>>();
    const auto first = static_cast<int64_t>(tokens.size()) - 1;
    tokens.insert(tokens.end(), greedy.begin(), greedy.end() - 1);
    m->rewind(0, 0);
    size_t step = 0;
    ASSERT_TRUE(m->feed(tokens, first, [&](int64_t, std::span<const float> row) {
      const auto best = std::max_element(row.begin(), row.end()) - row.begin();
      if (gaps[step] >= 0.3) {
        EXPECT_EQ(best, greedy[step]) << p["name"] << " token " << step;
      }
      ++step;
    }));
    EXPECT_EQ(step, greedy.size());
  }
}

// As llama-perplexity defines it: chunks of 512 tokens, each from an empty cache; the last 255 of each are
// scored. With exact weights and float32 activations it is 13.519.
TEST_F(SmolLm2, Perplexity) {
  constexpr size_t kChunk = 512, kFirstScored = 257;
  for (const kernels::KvType kv : {kernels::KvType::kF16, kernels::KvType::kF32}) {
    auto m = open(false, kv);
    ASSERT_NE(m, nullptr);
    const auto tokenizer = Tokenizer::load(m->file());
    ASSERT_TRUE(tokenizer) << tokenizer.error().message;
    const auto ids = (*tokenizer)->encode(test::read_file(kData + "text.txt"), true, true);
    ASSERT_EQ(ids.size(), kTextTokens);
    double sum = 0;
    size_t n = 0;
    for (size_t at = 0; at + kChunk <= ids.size(); at += kChunk) {
      const std::span<const int32_t> chunk(ids.data() + at, kChunk);
      m->rewind(0, 0);
      ASSERT_TRUE(
          m->feed(chunk.first(kChunk - 1), kFirstScored - 1, [&](int64_t i, std::span<const float> row) {
            const float best = *std::max_element(row.begin(), row.end());
            double all = 0;
            for (const float v : row) all += std::exp(static_cast<double>(v) - best);
            sum += std::log(all) -
                   (static_cast<double>(row[static_cast<size_t>(chunk[static_cast<size_t>(i) + 1])]) - best);
            ++n;
          }));
    }
    EXPECT_EQ(n, ids.size() / kChunk * 255);
    const double perplexity = std::exp(sum / static_cast<double>(n));
    EXPECT_NEAR(perplexity, 13.519, 0.015 * 13.519) << (kv == kernels::KvType::kF16 ? "f16" : "f32");
  }
}

uint64_t fnv(uint64_t hash, std::span<const float> values) {
  for (float v : values) {
    uint32_t bits;
    std::memcpy(&bits, &v, sizeof bits);
    hash = (hash ^ bits) * 1099511628211ull;
  }
  return hash;
}

// The bits of these logits on every machine. They change only when the canonical order changes: then, and
// only then, the new value is what this test prints.
constexpr uint64_t kGoldenHash = 4314211700081549910ull;

TEST_F(SmolLm2, GoldenHashOnEveryInstructionSet) {
  const auto tokens = prompts_[0]["tokens"].get<std::vector<int32_t>>();
  for (Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512}) {
    if (isa > best_isa()) continue;
    auto m = open(false, kernels::KvType::kF16);
    ASSERT_NE(m, nullptr);
    kernels::set_isa_for_test(isa);
    uint64_t hash = 1469598103934665603ull;
    ASSERT_TRUE(m->feed(tokens, static_cast<int64_t>(tokens.size()) - 4,
                        [&](int64_t, std::span<const float> row) { hash = fnv(hash, row); }));
    EXPECT_EQ(hash, kGoldenHash) << isa_name(isa) << " gives " << hash << "ull";
  }
  kernels::set_isa_for_test(best_isa());
}

}  // namespace
}  // namespace quipu
