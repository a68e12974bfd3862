#include "sampling/candidates.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace quipu::sampling {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

std::vector<int32_t> ids(const Candidates& c) {
  std::vector<int32_t> out;
  for (const Candidate& i : c.items) out.push_back(i.id);
  return out;
}

// What the steps work on: all tokens with the given logits.
struct Tokens {
  explicit Tokens(std::vector<float> l) : logits(std::move(l)), memory(logits.size()) {}
  Candidates all() { return all_tokens(logits, {}, memory); }
  Candidates best(int64_t k) { return top_k(logits, {}, k, memory); }
  std::vector<float> logits;
  std::vector<Candidate> memory;
};

// Logits whose softmax is p.
Tokens with_probabilities(std::vector<double> p) {
  std::vector<float> l;
  for (double x : p) l.push_back(static_cast<float>(std::log(x)));
  return Tokens(l);
}

// Few different values, so that ties are everywhere, and penalties on some tokens.
TEST(Candidates, TopKIsTheFrontOfASort) {
  std::mt19937 random(3);
  for (int round = 0; round < 400; ++round) {
    std::vector<float> logits(1 + random() % 3000);
    const unsigned kinds = 1 + random() % 60;
    for (float& l : logits) l = static_cast<float>(random() % kinds) - 5.0f;
    std::vector<TokenWindow::Count> counts;
    for (int32_t id = static_cast<int32_t>(random() % 50); id < 3500;
         id += 1 + static_cast<int32_t>(random() % 400))
      counts.push_back({id, 1 + static_cast<int32_t>(random() % 3)});
    Penalties penalties{1.5f, 0.5f, 1.0f, counts};
    if (round % 3 == 0) penalties = {};

    std::vector<Candidate> sorted;
    for (size_t i = 0; i < logits.size(); ++i) {
      float l = logits[i];
      for (const auto& [id, n] : penalties.counts)
        if (id == static_cast<int32_t>(i)) l = penalties.apply(l, n);
      sorted.push_back({static_cast<int32_t>(i), l});
    }
    std::sort(sorted.begin(), sorted.end(),
              [](auto& a, auto& b) { return a.logit != b.logit ? a.logit > b.logit : a.id < b.id; });

    std::vector<Candidate> memory(logits.size());
    const auto k = static_cast<int64_t>(1 + random() % (round % 2 == 0 ? 50 : 4000));
    const Candidates got = top_k(logits, penalties, k, memory);
    ASSERT_EQ(got.items.size(), std::min(static_cast<size_t>(k), logits.size()));
    for (size_t i = 0; i < got.items.size(); ++i) {
      ASSERT_EQ(got.items[i].id, sorted[i].id) << "round " << round << " place " << i;
      ASSERT_EQ(got.items[i].logit, sorted[i].logit);
    }
    ASSERT_EQ(best_token(logits, penalties), sorted[0].id);
    const Candidates all = all_tokens(logits, penalties, memory);
    ASSERT_EQ(all.items.size(), logits.size());
    for (const Candidate& c : sorted) ASSERT_EQ(all.items[static_cast<size_t>(c.id)].logit, c.logit);
  }
}

TEST(Candidates, WhatIsNoNumberIsLeftOut) {
  Tokens t({kNaN, -kInf, 3, kInf, kNaN, FLT_MAX, -kInf, kInf});
  EXPECT_EQ(ids(t.best(3)), (std::vector<int32_t>{3, 5, 7})) << "infinity counts as the largest number";
  EXPECT_EQ(ids(t.best(100)), (std::vector<int32_t>{3, 5, 7, 2}));
  EXPECT_EQ(best_token(t.logits, {}), 3);
  for (const Candidate& c : t.all().items) EXPECT_EQ(c.logit, c.logit);
  Tokens none({kNaN, -kInf, kNaN});
  EXPECT_TRUE(none.best(2).items.empty());
  EXPECT_EQ(best_token(none.logits, {}), -1);
}

TEST(Candidates, PenaltiesOfTokensThatDoNotExistAreIgnored) {
  Tokens t({1, 2, 3});
  const std::vector<TokenWindow::Count> counts = {{-7, 1}, {2, 1}, {3, 1}, {1 << 30, 2}};
  EXPECT_EQ(best_token(t.logits, {10.0f, 0, 0, counts}), 1);
}

TEST(Candidates, TopPKeepsTheFewestThatReachP) {
  Tokens t = with_probabilities({0.1, 0.4, 0.2, 0.3});
  const auto kept = [&](float p) {
    Candidates c = t.all();
    keep_top_p(c, p);
    EXPECT_TRUE(c.sorted);
    return ids(c);
  };
  EXPECT_EQ(kept(0.0f), (std::vector<int32_t>{1}));
  EXPECT_EQ(kept(-3.0f), (std::vector<int32_t>{1}));
  EXPECT_EQ(kept(0.39f), (std::vector<int32_t>{1}));
  EXPECT_EQ(kept(0.41f), (std::vector<int32_t>{1, 3}));
  EXPECT_EQ(kept(0.69f), (std::vector<int32_t>{1, 3}));
  EXPECT_EQ(kept(0.71f), (std::vector<int32_t>{1, 3, 2}));
  EXPECT_EQ(kept(0.95f), (std::vector<int32_t>{1, 3, 2, 0}));
}

// Exactly half and half, without any rounding: at p = 0.5 one token reaches p, but does not exceed it.
TEST(Candidates, TopPReachesWhereTypicalExceeds) {
  Tokens t({1, 1});
  Candidates c = t.all();
  keep_top_p(c, 0.5f);
  EXPECT_EQ(ids(c), (std::vector<int32_t>{0}));
  c = t.all();
  keep_typical(c, 0.5f);
  EXPECT_EQ(ids(c), (std::vector<int32_t>{0, 1}));
}

TEST(Candidates, MinPKeepsOrder) {
  Tokens t = with_probabilities({0.05, 0.4, 0.21, 0.34});
  Candidates c = t.all();
  keep_min_p(c, 0.5f);
  EXPECT_EQ(ids(c), (std::vector<int32_t>{1, 2, 3}));
  c = t.best(4);
  keep_min_p(c, 0.8f);
  EXPECT_EQ(ids(c), (std::vector<int32_t>{1, 3}));
  c = t.all();
  keep_min_p(c, 100.0f);
  EXPECT_EQ(ids(c), (std::vector<int32_t>{1})) << "the best always stays";
}

// The entropy of these is 0.81 nats: 0.39 is nearest to e^-0.81, before the likeliest token.
TEST(Candidates, TypicalKeepsWhatSurprisesAsMuchAsTheMean) {
  Tokens t = with_probabilities({0.01, 0.58, 0.39, 0.02});
  Candidates c = t.all();
  keep_typical(c, 0.3f);
  EXPECT_EQ(ids(c), (std::vector<int32_t>{2}));
  c = t.all();
  keep_typical(c, 0.5f);
  EXPECT_EQ(ids(c), (std::vector<int32_t>{2, 1}));
  c = t.all();
  keep_typical(c, 0.975f);
  EXPECT_EQ(ids(c), (std::vector<int32_t>{2, 1, 3}));
  c = t.all();
  keep_typical(c, -1.0f);
  EXPECT_EQ(c.items.size(), 1u);
}

// Large enough to be brought in order by parts.
TEST(Candidates, PrefixesOfALargeVocabularyAreThoseOfAFullSort) {
  std::mt19937 random(5);
  for (const float spread : {0.001f, 1.0f, 4.0f}) {
    std::vector<float> logits(20'000);
    for (float& l : logits) l = std::floor(static_cast<float>(random() % 100'000) * 0.01f) * 0.01f * spread;
    Tokens t(logits);
    Candidates sorted = t.best(20'000);
    std::vector<Candidate> copy(sorted.items.begin(), sorted.items.end());
    for (const float p : {0.01f, 0.2f, 0.9f, 0.999f}) {
      Candidates by_sort{copy, true};
      keep_top_p(by_sort, p);
      Candidates by_parts = t.all();
      keep_top_p(by_parts, p);
      // Their sums are added in different orders, which may decide at the border, and nowhere else.
      const auto n = std::min(by_sort.items.size(), by_parts.items.size());
      EXPECT_LE(std::max(by_sort.items.size(), by_parts.items.size()) - n, 1u);
      for (size_t i = 0; i < n; ++i) ASSERT_EQ(by_parts.items[i].id, by_sort.items[i].id) << i;
    }
  }
}

TEST(Candidates, ExtremesStayDefined) {
  for (std::vector<float> logits : {std::vector<float>{FLT_MAX, -FLT_MAX, 0, FLT_MAX},
                                    {-FLT_MAX},
                                    {kInf, kInf, -kInf},
                                    {0, 0, 0},
                                    {1e-45f, -1e-45f},
                                    {-FLT_MAX, -kInf}}) {
    for (const float p : {-1.0f, 0.0f, 1e-30f, 0.5f, 0.99999f}) {
      Tokens t(logits);
      Candidates c = t.all();
      keep_typical(c, p);
      ASSERT_FALSE(c.items.empty());
      keep_top_p(c, p);
      ASSERT_FALSE(c.items.empty());
      keep_min_p(c, 0.5f);
      ASSERT_FALSE(c.items.empty());
      for (const Candidate& i : c.items) EXPECT_GT(i.logit, -kInf);
    }
  }
}

}  // namespace
}  // namespace quipu::sampling
