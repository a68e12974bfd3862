#include "sampling/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <vector>

namespace quipu {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

// Everything off but what a test turns on.
SamplingOptions off() {
  SamplingOptions o;
  o.temperature = 1;
  o.top_k = 0;
  o.top_p = 1;
  o.seed = 1;
  return o;
}

struct Chooser {
  explicit Chooser(const SamplingOptions& o, int64_t n_ctx = 1000)
      : sampler(std::move(*Sampler::create(o, n_ctx))) {}
  int32_t operator()(const std::vector<float>& logits) {
    memory.resize(logits.size());
    return sampler->sample(logits, memory);
  }
  std::unique_ptr<Sampler> sampler;
  std::vector<Candidate> memory;
};

// The chain as plainly as it can be said, in double precision: each token's probability.
std::vector<double> exact(const std::vector<float>& logits, const SamplingOptions& o,
                          const std::vector<int32_t>& history) {
  std::vector<double> l(logits.begin(), logits.end());
  std::map<int32_t, int> counts;
  const size_t n_last = o.repeat_last_n < 0 ? history.size() : static_cast<size_t>(o.repeat_last_n);
  for (size_t i = history.size() - std::min(history.size(), n_last); i < history.size(); ++i)
    ++counts[history[i]];
  for (const auto& [id, n] : counts) {
    double& x = l[static_cast<size_t>(id)];
    x = x <= 0 ? x * o.repeat_penalty : x / o.repeat_penalty;
    x -= n * o.frequency_penalty + o.presence_penalty;
  }
  std::vector<size_t> c(l.size());
  for (size_t i = 0; i < c.size(); ++i) c[i] = i;
  const auto by = [&](auto key) {  // rising; equal ones by id
    std::sort(c.begin(), c.end(),
              [&](size_t x, size_t y) { return key(x) != key(y) ? key(x) < key(y) : x < y; });
  };
  const auto sort = [&] { by([&](size_t i) { return -l[i]; }); };
  const auto probability = [&](double temperature) {
    std::vector<double> p;
    double sum = 0;
    for (size_t i : c) sum += std::exp(l[i] / temperature);
    for (size_t i : c) p.push_back(std::exp(l[i] / temperature) / sum);
    return p;
  };
  const auto keep = [&](auto enough) {
    const std::vector<double> p = probability(1);
    double sum = 0;
    for (size_t i = 0; i < c.size(); ++i)
      if (enough(sum += p[i])) return c.resize(i + 1);
  };
  sort();
  if (o.top_k > 0 && c.size() > static_cast<size_t>(o.top_k)) c.resize(static_cast<size_t>(o.top_k));
  if (o.typical_p < 1) {
    const std::vector<double> p = probability(1);
    double entropy = 0;
    for (double x : p) entropy -= x * std::log(x);
    std::map<size_t, double> surprise;
    for (size_t i = 0; i < c.size(); ++i) surprise[c[i]] = std::fabs(-std::log(p[i]) - entropy);
    by([&](size_t i) { return surprise[i]; });
    keep([&](double sum) { return sum > o.typical_p; });
    sort();
  }
  if (o.top_p < 1) keep([&](double sum) { return sum >= o.top_p; });
  if (o.min_p > 0) {
    const std::vector<double> p = probability(1);
    size_t n = 0;
    while (n < c.size() && p[n] >= o.min_p * p[0]) ++n;
    c.resize(std::max<size_t>(n, 1));
  }
  std::vector<double> out(l.size());
  if (o.temperature <= 0) {
    out[c[0]] = 1;
  } else {
    const std::vector<double> p = probability(o.temperature);
    for (size_t i = 0; i < c.size(); ++i) out[c[i]] = p[i];
  }
  return out;
}

// 20,000 draws against the exact probabilities: chi squared within five deviations of its mean, and nothing
// that the chain leaves out is ever drawn. Seeds are fixed, so this passes always or never.
void expect_distribution(const std::vector<float>& logits, const SamplingOptions& o,
                         const std::vector<int32_t>& history, const char* what) {
  const std::vector<double> p = exact(logits, o, history);
  std::vector<int> drawn(p.size());
  constexpr int kSeeds = 20, kDraws = 1000;
  for (int seed = 0; seed < kSeeds; ++seed) {
    SamplingOptions seeded = o;
    seeded.seed = 1000 + seed;
    Chooser choose(seeded, 50);
    choose.sampler->accept(history);
    for (int i = 0; i < kDraws; ++i) ++drawn.at(static_cast<size_t>(choose(logits)));
  }
  double chi = 0, rare_expected = 0;
  int cells = 0, rare = 0;
  for (size_t i = 0; i < p.size(); ++i) {
    if (p[i] == 0) {
      ASSERT_EQ(drawn[i], 0) << what << ": token " << i;
      continue;
    }
    const double expected = p[i] * kSeeds * kDraws;
    if (expected < 10) {  // too few for the test: together
      rare_expected += expected;
      rare += drawn[i];
      continue;
    }
    chi += (drawn[i] - expected) * (drawn[i] - expected) / expected;
    ++cells;
  }
  if (rare_expected > 0)
    chi += (rare - rare_expected) * (rare - rare_expected) / std::max(rare_expected, 1.0), ++cells;
  EXPECT_LE(chi, cells + 5 * std::sqrt(2.0 * cells) + 5) << what;
}

TEST(Sampler, DrawsWithTheExactProbabilities) {
  std::vector<float> logits;
  for (int i = 0; i < 60; ++i) logits.push_back(static_cast<float>((i * 37) % 60) / 10.0f - 3.0f);
  const std::vector<int32_t> history = {1, 5, 5, 7, 59, 5, 21, 13, 21, 8};
  const auto with = [](auto change) {
    SamplingOptions o = off();
    change(o);
    return o;
  };
  using O = SamplingOptions;
  expect_distribution(logits, off(), history, "nothing");
  expect_distribution(logits, O(), history, "the defaults");
  expect_distribution(logits, with([](O& o) { o.temperature = 0.5f; }), history, "cool");
  expect_distribution(logits, with([](O& o) { o.temperature = 3; }), history, "hot");
  expect_distribution(logits, with([](O& o) { o.top_k = 5; }), history, "top_k");
  expect_distribution(logits, with([](O& o) { o.top_p = 0.77f; }), history, "top_p");
  expect_distribution(logits, with([](O& o) { o.min_p = 0.12f; }), history, "min_p");
  expect_distribution(logits, with([](O& o) { o.typical_p = 0.6f; }), history, "typical_p");
  expect_distribution(logits, with([](O& o) { o.repeat_penalty = 1.7f; }), history, "repeat_penalty");
  expect_distribution(logits, with([](O& o) { o.presence_penalty = 1.5f; }), history, "presence_penalty");
  expect_distribution(logits, with([](O& o) { o.frequency_penalty = -0.8f; }), history, "frequency_penalty");
  expect_distribution(logits, with([](O& o) { o.repeat_penalty = 1.7f, o.repeat_last_n = 3; }), history,
                      "last 3");
  expect_distribution(logits, with([](O& o) { o.repeat_penalty = 1.7f, o.repeat_last_n = -1; }), history,
                      "all");
  expect_distribution(logits, with([](O& o) { o.repeat_penalty = 1.7f, o.repeat_last_n = 0; }), history,
                      "none");
  expect_distribution(logits, with([](O& o) {
                        o.repeat_penalty = 1.3f, o.presence_penalty = 0.4f, o.frequency_penalty = 0.3f,
                        o.top_k = 30, o.typical_p = 0.9f, o.top_p = 0.83f, o.min_p = 0.2f,
                        o.temperature = 1.4f;
                      }),
                      history, "everything");
}

TEST(Sampler, OneChainOrder) {
  // Probabilities 0.4, 0.3, 0.2, 0.1.
  std::vector<float> logits;
  for (double p : {0.4, 0.3, 0.2, 0.1}) logits.push_back(static_cast<float>(std::log(p)));
  const auto drawn = [&](const SamplingOptions& o, std::vector<int32_t> history = {}) {
    std::vector<int32_t> seen;
    Chooser choose(o);
    choose.sampler->accept(history);
    for (int i = 0; i < 2000; ++i) {
      const int32_t t = choose(logits);
      if (std::find(seen.begin(), seen.end(), t) == seen.end()) seen.push_back(t);
    }
    std::sort(seen.begin(), seen.end());
    return seen;
  };
  using Ids = std::vector<int32_t>;
  SamplingOptions o = off();
  o.temperature = 100;
  o.top_p = 0.65f;
  EXPECT_EQ(drawn(o), (Ids{0, 1})) << "top_p sees the probabilities without temperature";
  o.top_p = 1;
  o.min_p = 0.6f;
  EXPECT_EQ(drawn(o), (Ids{0, 1})) << "and so does min_p";
  o = off();
  o.top_k = 2;
  o.top_p = 0.5f;
  EXPECT_EQ(drawn(o), (Ids{0})) << "top_k first: of two tokens the better has 0.57";
  o.top_k = 0;
  EXPECT_EQ(drawn(o), (Ids{0, 1}));
  o = off();
  o.top_k = 2;
  o.presence_penalty = 5;
  EXPECT_EQ(drawn(o, {0, 1}), (Ids{2, 3})) << "penalties come before top_k";
  o = off();
  o.top_p = 0.35f;
  o.typical_p = 0.45f;  // keeps 0.3 and 0.2: the entropy is 1.28 nats, e^-1.28 = 0.28
  EXPECT_EQ(drawn(o), (Ids{1})) << "typical_p comes before top_p";
  o.temperature = 0;
  EXPECT_EQ(drawn(o), (Ids{1})) << "and greedy takes the best of what is left";
}

TEST(Sampler, GreedyTakesTheBestAndOfEqualsTheFirst) {
  for (const float temperature : {0.0f, -0.0f, -1.0f}) {
    SamplingOptions o;
    o.temperature = temperature;
    Chooser choose(o);
    EXPECT_EQ(choose({1, 3, 2, 3}), 1);
    EXPECT_EQ(choose({5, 5, 5}), 0);
  }
  SamplingOptions o;
  o.temperature = 1e-42f;
  Chooser choose(o);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(choose({1, 3, 2.99f}), 1) << "next to nothing is not an overflow";
}

// Computed apart from this code: MT19937, two outputs a draw, the candidates in order.
TEST(Sampler, SeedsGiveTheseTokensOnEveryMachine) {
  std::vector<float> logits;
  for (int i = 0; i < 64; ++i) logits.push_back(static_cast<float>((i * 37) % 64) / 8);
  const auto draws = [&](const SamplingOptions& o) {
    Chooser choose(o);
    std::vector<int32_t> out;
    for (int i = 0; i < 24; ++i) out.push_back(choose(logits));
    return out;
  };
  SamplingOptions o = off();
  o.top_k = 40;
  o.temperature = 0.8f;
  o.seed = 42;
  EXPECT_EQ(draws(o), (std::vector<int32_t>{17, 38, 62, 50, 12, 19, 12, 57, 19, 5,  19, 43,
                                            22, 19, 58, 5,  5,  19, 19, 31, 12, 19, 53, 38}));
  o.top_k = 0;
  o.temperature = 2;
  EXPECT_EQ(draws(o), (std::vector<int32_t>{50, 12, 50, 38, 29, 8, 30, 20, 11, 41, 5,  46,
                                            60, 0,  62, 38, 38, 1, 3,  34, 24, 5,  62, 17}));
  o.seed = 0;
  EXPECT_EQ(draws(o), (std::vector<int32_t>{38, 55, 55, 55, 38, 24, 19, 5,  19, 31, 51, 31,
                                            24, 55, 20, 40, 24, 61, 11, 57, 31, 50, 33, 43}));
  o.seed = int64_t{1} << 32;
  Chooser same(o);
  EXPECT_EQ(same.sampler->seed(), 0u);
  o.seed = -2;
  EXPECT_EQ(Chooser(o).sampler->seed(), 0xFFFFFFFEu);
}

TEST(Sampler, ARandomSeedIsOneThatCanBeUsedAgain) {
  SamplingOptions o = off();
  o.seed = -1;
  std::vector<float> logits(1000, 0.0f);
  Chooser first(o), second(o);
  EXPECT_NE(first.sampler->seed(), second.sampler->seed());
  o.seed = first.sampler->seed();
  Chooser again(o);
  for (int i = 0; i < 50; ++i) ASSERT_EQ(first(logits), again(logits));
}

// What one sequence draws does not depend on whose memory it used before, or on what else was drawn in
// between.
TEST(Sampler, SequencesDoNotDisturbEachOther) {
  std::mt19937 random(17);
  std::vector<std::vector<float>> rows(40, std::vector<float>(500));
  for (auto& row : rows)
    for (float& l : row) l = static_cast<float>(random() % 1000) / 100;
  SamplingOptions o;
  o.repeat_penalty = 1.2f;
  const auto run = [&](int n_others) {
    std::vector<std::unique_ptr<Sampler>> samplers;
    for (int i = 0; i <= n_others; ++i) {
      o.seed = 5 + i;
      o.top_k = i % 2 == 0 ? 40 : 0;
      samplers.push_back(std::move(*Sampler::create(o, 100)));
    }
    std::vector<Candidate> memory(500);
    std::vector<int32_t> out;
    for (const auto& row : rows)
      for (size_t s = samplers.size(); s-- > 0;) {
        const int32_t t = samplers[s]->sample(row, memory);
        samplers[s]->accept(t);
        if (s == 0) out.push_back(t);
      }
    return out;
  };
  EXPECT_EQ(run(0), run(3));
}

TEST(Sampler, HostileLogits) {
  std::vector<SamplingOptions> all;
  for (const float temperature : {0.0f, 1e-45f, 0.8f, FLT_MAX})
    for (const int32_t top_k : {0, 1, 2, 40})
      for (const float typical_p : {0.0f, 0.5f, 1.0f})
        for (const float top_p : {0.0f, 0.9f, 1.0f})
          for (const float repeat_penalty : {0.0f, 1.0f, FLT_MAX}) {
            SamplingOptions o = off();
            o.temperature = temperature;
            o.top_k = top_k;
            o.typical_p = typical_p;
            o.top_p = top_p;
            o.min_p = 0.1f;
            o.repeat_penalty = repeat_penalty;
            o.frequency_penalty = repeat_penalty == 1 ? 0 : -FLT_MAX;
            all.push_back(o);
          }
  for (const SamplingOptions& o : all) {
    Chooser choose(o);
    choose.sampler->accept(0);
    choose.sampler->accept(std::vector<int32_t>{2, -5, 1 << 30});
    EXPECT_EQ(choose({kNaN, kNaN, kNaN}), 0);
    EXPECT_EQ(choose({-kInf, -kInf}), 0);
    EXPECT_EQ(choose({kNaN, -1e30f, -kInf, kNaN}), 1) << "the only number";
    for (const std::vector<float>& logits : {std::vector<float>{kInf, kNaN, kInf, 1},
                                             {FLT_MAX, -FLT_MAX, FLT_MAX},
                                             {0.0f, -0.0f, 1e-45f},
                                             {kInf},
                                             {-FLT_MAX}}) {
      const int32_t t = choose(logits);
      ASSERT_GE(t, 0);
      ASSERT_LT(t, static_cast<int32_t>(logits.size()));
      EXPECT_EQ(logits[static_cast<size_t>(t)], logits[static_cast<size_t>(t)]) << "never NaN";
    }
  }
}

TEST(Sampler, OptionsWithoutMeaningAreRefusedByName) {
  const auto refused = [](auto change) {
    SamplingOptions o;
    change(o);
    const auto s = Sampler::create(o, 100);
    if (s.has_value()) return std::string("accepted");
    EXPECT_EQ(s.error().code, Code::kInvalidArgument);
    EXPECT_NE(s.error().message.find(s.error().subject), std::string::npos) << s.error().message;
    return s.error().subject;
  };
  using O = SamplingOptions;
  EXPECT_EQ(refused([](O& o) { o.temperature = kNaN; }), "temperature");
  EXPECT_EQ(refused([](O& o) { o.top_p = kInf; }), "top_p");
  EXPECT_EQ(refused([](O& o) { o.min_p = -kInf; }), "min_p");
  EXPECT_EQ(refused([](O& o) { o.typical_p = kNaN; }), "typical_p");
  EXPECT_EQ(refused([](O& o) { o.repeat_penalty = kNaN; }), "repeat_penalty");
  EXPECT_EQ(refused([](O& o) { o.repeat_penalty = -1; }), "repeat_penalty");
  EXPECT_EQ(refused([](O& o) { o.presence_penalty = kInf; }), "presence_penalty");
  EXPECT_EQ(refused([](O& o) { o.frequency_penalty = kNaN; }), "frequency_penalty");
  EXPECT_EQ(refused([](O& o) { o.repeat_last_n = -2; }), "repeat_last_n");
  EXPECT_EQ(refused([](O&) {}), "accepted");
  EXPECT_EQ(refused([](O& o) {
              o.temperature = -1, o.top_k = -5, o.top_p = 7, o.min_p = -1, o.typical_p = 2,
              o.repeat_penalty = 0, o.repeat_last_n = INT32_MAX, o.seed = INT64_MIN;
            }),
            "accepted")
      << "as Ollama does";
}

}  // namespace
}  // namespace quipu
