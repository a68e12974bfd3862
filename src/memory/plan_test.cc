#include "memory/plan.h"

#include <gtest/gtest.h>

#include "base/units.h"
#include "memory/plan_fixture.h"

namespace quipu::memory {
namespace {

using test::options;

ModelShape granite() { return test::granite(1'500'000'000, 25'000'000); }

TEST(Plan, KvOfAnF16CacheIsWhatTheShapesSay) {
  const MemoryPlan p = plan(granite(), options(16384, 4));
  EXPECT_EQ(p.kv_bytes_per_token, 81920u);  // 40 layers x 8 heads x 64 values x 2 (K, V) x 2 bytes
  EXPECT_EQ(p.kv_block_bytes, 81920u * 32);
  EXPECT_EQ(p.kv_ceiling, 81920ull * 16384 * 4);
  EXPECT_EQ(p.bytes(Category::kKv), 0u) << "nothing is taken before tokens arrive";
}

TEST(Plan, ContextAndParallelCostNothingAtLoad) {
  const uint64_t small = plan(granite(), options(2048, 1)).total();
  const uint64_t large = plan(granite(), options(131072, 1)).total();
  EXPECT_EQ(small, large);
  const uint64_t parallel = plan(granite(), options(131072, 4)).total();
  EXPECT_EQ(parallel - large, 3u * 49152 * 4) << "one row of logits for each further sequence";
  EXPECT_EQ(plan(granite(), options(2048, 4)).bytes(Category::kOutput), 49152u * (4 * 4 + 8))
      << "and the candidates of the sampler once";
}

TEST(Plan, TokensInUseComeInWholeBlocks) {
  RuntimeOptions o = options(4096, 1);
  o.tokens_in_use = 33;
  const MemoryPlan p = plan(granite(), o);
  EXPECT_EQ(p.bytes(Category::kKv), 2 * p.kv_block_bytes);
}

TEST(Plan, AWindowedGroupKeepsItsWindow) {
  ModelShape s = granite();
  s.groups[0].window = 512;
  const MemoryPlan p = plan(s, options(16384, 1));
  EXPECT_EQ(p.kv_ceiling, ((512u + 32) / 32 + 256 / 32) * p.kv_block_bytes) << "and a batch of 256 rows";
  EXPECT_EQ(plan(s, options(600, 1)).kv_ceiling, 19 * p.kv_block_bytes) << "never more than the context";
  EXPECT_EQ(plan(s, options(16384, 4)).kv_ceiling, (4 * 17u + 11) * p.kv_block_bytes);
  RuntimeOptions in_use = options(16384, 1);
  for (const auto& [tokens, blocks] : {std::pair{544, 17u}, {545, 17u}, {5000, 17u}, {100, 4u}}) {
    in_use.tokens_in_use = tokens;
    EXPECT_EQ(plan(s, in_use).bytes(Category::kKv), blocks * p.kv_block_bytes);
  }
  s.groups.push_back(s.groups[0]);
  s.groups[1].window = 0;
  EXPECT_EQ(plan(s, options(16384, 1)).kv_ceiling, (17u + 8 + 512) * p.kv_block_bytes)
      << "each group its own";
  s.groups.pop_back();
  s.groups[0].window = INT64_MAX;
  EXPECT_EQ(plan(s, options(16384, 1)).kv_ceiling, 16384u / 32 * p.kv_block_bytes)
      << "longer than the context: no window";
}

TEST(Plan, BehindAWindowItGrowsByLess) {
  ModelShape s = granite();
  s.groups.push_back(s.groups[0]);
  s.groups[1].window = 512;
  const RuntimeOptions o = options(16384, 1);
  const MemoryPlan p = plan(s, o);
  const uint64_t block = p.kv_block_bytes / 2;
  EXPECT_EQ(p.kv_of_sequence(512), 32 * block);
  EXPECT_EQ(p.kv_of_sequence(16384), p.kv_ceiling);
  EXPECT_EQ(p.kv_ceiling, (512 + 17 + 8) * block) << "and a batch of 256 rows";
  // One of 2,048 tokens.
  EXPECT_EQ(charge(p, o), p.total() + (64 + 17 + 8) * block);
  for (const int64_t tokens : {0, 32, 512, 544, 2048, 16384}) {
    EXPECT_EQ(p.tokens_within(p.kv_of_sequence(tokens)), tokens);
    EXPECT_EQ(p.tokens_within(p.kv_of_sequence(tokens + 32) - 1), tokens);
  }
  EXPECT_NE(plan_lines(p, o).find("KV grows by 160.0 KiB a token, 80.0 KiB beyond 512, up to"),
            std::string::npos)
      << plan_lines(p, o);
  // One that keeps nothing else holds any number of tokens.
  s.groups.erase(s.groups.begin());
  EXPECT_GT(plan(s, o).tokens_within(UINT64_MAX / 2), int64_t{1} << 60);
}

TEST(Plan, AbsurdSizesSaturateAndFitNowhere) {
  ModelShape s = granite();
  s.groups.assign(1,
                  {.n_layers = INT64_MAX, .n_kv_heads = INT64_MAX, .head_dim_k = INT64_MAX, .head_dim_v = 1});
  s.weights_bytes = UINT64_MAX;
  s.n_vocab = INT64_MAX;
  const RuntimeOptions o = options(INT64_MAX, INT64_MAX);
  const MemoryPlan p = plan(s, o);
  EXPECT_EQ(p.total(), 1ull << 63);
  EXPECT_EQ(fits(p, o, 1ull << 62), Fit::kNo);
}

TEST(Plan, NegativeNumbersTakeNothing) {
  ModelShape s = granite();
  s.groups[0].n_layers = -40;
  RuntimeOptions o = options(-5, -1);
  o.tokens_in_use = -100;
  const MemoryPlan p = plan(s, o);
  EXPECT_EQ(p.bytes(Category::kKv), 0u);
  EXPECT_EQ(p.kv_ceiling, 0u);
  EXPECT_GE(charge(p, o), s.weights_bytes);
}

TEST(Plan, FitsIsYesTightOrNo) {
  const RuntimeOptions o = options(16384, 4);
  const MemoryPlan p = plan(granite(), o);
  const uint64_t least = charge(p, o);
  EXPECT_EQ(least, p.total() + 2048u * 81920) << "one sequence of useful length must fit";
  EXPECT_EQ(fits(p, o, least - 1), Fit::kNo);
  EXPECT_EQ(fits(p, o, least), Fit::kTight);
  EXPECT_EQ(fits(p, o, p.total() + p.kv_ceiling), Fit::kYes);
}

TEST(Plan, TheVerdictSaysWhatIsTight) {
  const RuntimeOptions o = options(16384, 4);
  const MemoryPlan p = plan(granite(), o);
  const std::string none = verdict(p, o, p.total() + 4096 * p.kv_bytes_per_token);
  EXPECT_NE(none.find("but\nno sequence can grow to 16384 tokens: 4096 are what fits."), std::string::npos)
      << none;
  const std::string some = verdict(p, o, p.total() + 20000 * p.kv_bytes_per_token);
  EXPECT_NE(some.find("but\nnot all 4 sequences can grow to 16384 tokens: 20000 in all are what fits."),
            std::string::npos)
      << some;
  EXPECT_NE(
      some.find("Charged " + format_bytes(charge(p, o)) + ": the total with a KV cache of 2048 tokens."),
      std::string::npos)
      << some;
  EXPECT_NE(verdict(p, o, 24ull << 30).find("Fits: 24.0 GiB are free."), std::string::npos);
  EXPECT_NE(verdict(p, o, 1 << 30).find("Does not fit: 1.0 GiB are free."), std::string::npos);
}

TEST(Plan, TheTableNamesEveryCategoryAndTheTotal) {
  const RuntimeOptions o = options(16384, 4);
  const std::string table = plan_lines(plan(granite(), o), o);
  for (const char* word :
       {"weights", "kv", "workspace", "output", "runtime", "total", "KV grows by 80.0 KiB"})
    EXPECT_NE(table.find(word), std::string::npos) << word << "\n" << table;
  for (size_t at = 0, end = 0; (end = table.find('\n', at)) != table.npos; at = end + 1)
    EXPECT_LE(end - at, 80u) << table;
}

TEST(Plan, MeasuredStandsBesidePlanned) {
  const RuntimeOptions o = options(16384, 4);
  MeasuredBytes m;
  m.of[static_cast<size_t>(Category::kWeights)] = 1'400'000'000;
  m.total = 1'500'000'000;
  const std::string table = plan_lines(plan(granite(), o), o, &m);
  EXPECT_EQ(table.find("                planned   measured\n"), 0u) << table;
  EXPECT_NE(table.find("  weights       1.4 GiB    1.3 GiB   the model file"), std::string::npos) << table;
  EXPECT_NE(table.find("  total         1.4 GiB    1.4 GiB\n"), std::string::npos) << table;
}

TEST(Plan, ARefusalSaysWhatIsNeededAndWhatWouldFit) {
  const RuntimeOptions o = options(16384, 1);
  const MemoryPlan p = plan(granite(), o);
  const auto machine = [](uint64_t capacity, std::optional<uint64_t> limit = {}) {
    return Machine{.terms = {{"MemAvailable", capacity}}, .limit = limit};
  };
  const std::string advised =
      refusal(p, o, machine(p.total() + 1024 * p.kv_bytes_per_token + 5), "try num_ctx=1024");
  EXPECT_NE(advised.find("model needs 1.6 GiB (weights 1.4 GiB, kv 160.0 MiB, workspace 23.8 MiB"),
            std::string::npos)
      << advised;
  EXPECT_NE(advised.find("are free: try num_ctx=1024"), std::string::npos) << advised;
  const std::string bare = refusal(p, o, machine(1 << 30), "");
  EXPECT_NE(bare.find("1.0 GiB are free: free 598.0 MiB more, or take"), std::string::npos) << bare;
  const std::string bounded = refusal(p, o, machine(8ull << 30, 1 << 30), "");
  EXPECT_NE(bounded.find("1.0 GiB are free: raise QUIPU_MEMORY to 1.6 GiB, or take"), std::string::npos)
      << bounded;
}

}  // namespace
}  // namespace quipu::memory
