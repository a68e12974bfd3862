#include "memory/alternatives.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "memory/plan_fixture.h"

namespace quipu::memory {
namespace {

constexpr uint64_t kMiB = 1 << 20;

using test::options;

ModelShape granite() {
  ModelShape s = test::granite(1'500 * kMiB, 25 * kMiB);
  s.n_embd = 2048;
  return s;
}

Choices choices() {
  return {.kv = {{"f16", 64, 64}, {"q8_0", 34, 34}, {"q4_0", 18, 18}},
          .files = {{"Q8_0", 2'600 * kMiB}, {"Q4_K_S", 1'400 * kMiB}, {"Q4_0", 1'300 * kMiB}}};
}

std::string names(const std::vector<Alternative>& all) {
  std::string out;
  for (const Alternative& a : all) out += (out.empty() ? "" : " | ") + a.change + " " + fit_name(a.fits);
  return out;
}

uint64_t charge_of(const ModelShape& s, const RuntimeOptions& o) { return charge(plan(s, o), o); }

TEST(Alternatives, APlanThatFitsNeedsNone) {
  EXPECT_TRUE(alternatives(granite(), options(4096, 1), choices(), uint64_t{64} << 30).empty());
}

TEST(Alternatives, ATightPlanGetsEachSettingThatWouldFitAlone) {
  const RuntimeOptions o = options(16384, 4);  // ceiling 5 GiB
  const MemoryPlan p = plan(granite(), o);
  const auto all = alternatives(granite(), o, choices(), p.total() + 3000 * kMiB);
  EXPECT_EQ(names(all), "kv_cache_type=q8_0 yes | parallel=2 yes | num_ctx=9216 yes");
  RuntimeOptions q8 = o;
  q8.k_bytes_per_32 = q8.v_bytes_per_32 = 34;
  EXPECT_EQ(all[0].total, charge_of(granite(), q8)) << "the total is what would be charged";
}

TEST(Alternatives, TheNextCacheTypeIsShownOnlyIfItFitsBetter) {
  const RuntimeOptions o = options(16384, 4);
  const MemoryPlan p = plan(granite(), o);
  EXPECT_EQ(names(alternatives(granite(), o, choices(), p.total() + 2000 * kMiB)),
            "kv_cache_type=q4_0 yes | parallel=1 yes | num_ctx=6400 yes");
}

TEST(Alternatives, WhereALoadDoesNotFitWhatIsChargedCounts) {
  const RuntimeOptions o = options(16384, 1);
  const uint64_t needed = charge_of(granite(), o);  // with 2048 tokens, 160 MiB
  const auto all = alternatives(granite(), o, choices(), needed - 60 * kMiB);
  EXPECT_EQ(names(all), "kv_cache_type=q8_0 tight | num_ctx=1280 yes | quantization=Q4_K_S tight")
      << "and a shorter context than 2048 tokens is charged whole";
  EXPECT_FALSE(all[0].other_file);
  EXPECT_TRUE(all.back().other_file);
}

TEST(Alternatives, SeveralChangesTogetherWhereNoneIsEnough) {
  const RuntimeOptions o = options(16384, 4);
  const MemoryPlan p = plan(granite(), o);
  Choices c = choices();
  c.files.clear();
  // Not even 512 tokens in f16 (40 MiB), nor 2048 in q4_0 (45 MiB).
  EXPECT_EQ(names(alternatives(granite(), o, c, p.total() + 30 * kMiB)),
            "kv_cache_type=q8_0, num_ctx=704 tight");
}

TEST(Alternatives, WhatNothingMakesFitNamesTheLeast) {
  const RuntimeOptions o = options(16384, 4);
  const auto all = alternatives(granite(), o, choices(), 100 * kMiB);
  ASSERT_EQ(names(all), "kv_cache_type=q4_0, parallel=1, quantization=Q4_0, num_ctx=512 no");
  EXPECT_GT(all[0].total, 1'300 * kMiB);
  EXPECT_EQ(advice(all), "");
  EXPECT_NE(alternatives_table(all).find("Nothing makes it fit"), std::string::npos);
}

TEST(Alternatives, EveryOneFitsAsItSays) {
  // A sweep over budgets: what is offered is never worse than the plan, and its total is below the budget.
  for (const int64_t n_ctx : {512, 3000, 131072})
    for (const int64_t parallel : {1, 4, 256}) {
      const RuntimeOptions o = options(n_ctx, parallel);
      const MemoryPlan p = plan(granite(), o);
      for (uint64_t budget = 1'000 * kMiB; budget < 100'000 * kMiB; budget += budget / 7) {
        const Fit before = fits(p, o, budget);
        for (const Alternative& a : alternatives(granite(), o, choices(), budget)) {
          EXPECT_NE(before, Fit::kYes);
          if (a.fits == Fit::kNo) continue;
          EXPECT_LT(static_cast<int>(a.fits), static_cast<int>(before)) << a.change << " of " << budget;
          EXPECT_LE(a.total, budget) << a.change;
        }
      }
    }
}

TEST(Alternatives, AbsurdShapesEnd) {
  ModelShape s = granite();
  s.groups.assign(1,
                  {.n_layers = INT64_MAX, .n_kv_heads = INT64_MAX, .head_dim_k = INT64_MAX, .head_dim_v = 1});
  const auto all = alternatives(s, options(INT64_MAX, INT64_MAX), choices(), UINT64_MAX / 4);
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].fits, Fit::kNo);
  EXPECT_EQ(alternatives(s, options(-1, -1), {}, 0).size(), 1u);
}

TEST(Alternatives, AdviceIsShort) {
  const std::vector<Alternative> all = {{"a", 1, Fit::kYes, false},
                                        {"b", 1, Fit::kTight, true},
                                        {"c", 1, Fit::kYes, false},
                                        {"d", 1, Fit::kYes, false}};
  EXPECT_EQ(advice(all), "try a, or b (another file), or c");
  EXPECT_EQ(alternatives_table({{"num_ctx=512", 3 * kMiB, Fit::kTight, false}}),
            "What would fit:\n  num_ctx=512     3.0 MiB  tight\n");
  EXPECT_EQ(alternatives_table({}), "");
}

}  // namespace
}  // namespace quipu::memory
