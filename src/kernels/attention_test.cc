#include "kernels/attention.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "kernels/attention_fixture.h"

namespace quipu::kernels {
namespace {

using namespace test;  // NOLINT: a test

void expect_same(const Sequence& a, const Sequence& b, int64_t from, const std::string& what) {
  const size_t width = a.out.size() / static_cast<size_t>(a.tokens.n_tokens);
  for (int64_t row = from; row < a.tokens.n_tokens; ++row) {
    const size_t at = static_cast<size_t>(row) * width;
    ASSERT_EQ(std::memcmp(&a.out[at], &b.out[at], width * sizeof(float)), 0) << what << ", row " << row;
  }
}

// Attention in double over what the cache holds.
void expect_near_reference(const Config& c, const Sequence& s, int64_t from) {
  const AttentionShape shape = c.shape();
  for (int64_t row = from; row < s.tokens.n_tokens; ++row) {
    for (int h = 0; h < c.heads; ++h) {
      const size_t head = static_cast<size_t>(h / (c.heads / c.kv_heads));
      const float* q = &s.tokens.q[static_cast<size_t>((row * c.heads + h) * shape.head_dim_k)];
      const int64_t first = c.window > 0 ? std::max<int64_t>(0, row - c.window + 1) : 0;
      std::vector<double> score, o(static_cast<size_t>(shape.head_dim_v));
      double m = -1e300, l = 0;
      for (int64_t t = first; t <= row; ++t) {
        const std::byte* k =
            s.pointers[static_cast<size_t>(t / 32)] + shape.k_offset + head * shape.k_head_bytes;
        double sum = 0;
        for (int d = 0; d < shape.head_dim_k; ++d)
          sum += static_cast<double>(q[d]) *
                 stored_k(k, shape.type_k, static_cast<size_t>(d), static_cast<size_t>(t));
        score.push_back(sum);
        m = std::max(m, sum);
      }
      for (int64_t t = first; t <= row; ++t) {
        const std::byte* v =
            s.pointers[static_cast<size_t>(t / 32)] + shape.v_offset + head * shape.v_head_bytes;
        const double p = std::exp(score[static_cast<size_t>(t - first)] - m);
        l += p;
        for (int d = 0; d < shape.head_dim_v; ++d)
          o[static_cast<size_t>(d)] +=
              p * stored_v(v, shape.type_v, static_cast<size_t>(d), static_cast<size_t>(t));
      }
      for (int d = 0; d < shape.head_dim_v; ++d)
        ASSERT_NEAR(s.out[static_cast<size_t>((row * c.heads + h) * shape.head_dim_v + d)],
                    o[static_cast<size_t>(d)] / l, 4e-6)
            << "row " << row << " head " << h << " dim " << d;
    }
  }
}

std::string describe(const Config& c) {
  return fmt::format("{}:{} heads of {}/{}, types {}/{}, window {}", c.heads, c.kv_heads, c.dim_k, c.dim_v,
                     static_cast<int>(c.type_k), static_cast<int>(c.type_v), c.window);
}

std::vector<Config> configs() {
  constexpr KvType h = KvType::kF16, f = KvType::kF32, b = KvType::kBf16, q8 = KvType::kQ8_0,
                   q4 = KvType::kQ4_0;
  return {
      {3, 3, 32, 32, h, h, 0},     {9, 3, 64, 64, h, h, 0},    {9, 3, 64, 64, f, f, 0},
      {8, 2, 80, 80, h, h, 0},     {4, 1, 128, 128, h, h, 0},  {8, 2, 64, 64, h, h, 100},
      {9, 3, 64, 64, f, f, 33},    {7, 1, 32, 32, h, f, 1},    {2, 1, 96, 64, f, h, 64},
      {4, 4, 64, 64, h, h, 0},     {26, 2, 32, 32, h, h, 500}, {5, 1, 40, 48, h, h, 7},
      {9, 3, 64, 64, b, b, 0},     {9, 3, 64, 64, q8, q8, 0},  {4, 1, 128, 128, q4, q4, 0},
      {8, 2, 80, 40, q8, q4, 100}, {7, 7, 32, 64, q4, h, 0},   {26, 2, 64, 32, b, q8, 0},
      {3, 1, 64, 96, f, q4, 33},
  };
}

class AttentionConfigs : public ::testing::TestWithParam<size_t> {
 protected:
  void SetUp() override { before_ = active_isa(); }
  void TearDown() override { set_isa_for_test(before_); }
  Isa before_ = Isa::kScalar;
};

// One prompt of 150 tokens in one go, in chunks of 1, 7 and 64, on one and two threads and every instruction
// set.
TEST_P(AttentionConfigs, ChunksThreadsAndInstructionSetsGiveTheSameBits) {
  const Config c = configs()[GetParam()];
  SCOPED_TRACE(describe(c));
  for (Data kind : {Data::kPlain, Data::kHuge, Data::kEqual, Data::kTiny, Data::kMixed}) {
    const Tokens tokens(c, kind == Data::kPlain ? 150 : 70, 1 + static_cast<unsigned>(kind), kind);
    set_isa_for_test(Isa::kScalar);
    Sequence reference(c, tokens);
    Engine(c, 1).step({{&reference, tokens.n_tokens}});
    if (kind == Data::kPlain || kind == Data::kEqual) expect_near_reference(c, reference, 0);
    for (float x : reference.out) ASSERT_TRUE(std::isfinite(x));
    for (Isa isa : isas()) {
      if (isa == Isa::kScalar) continue;  // too slow for all of it
      set_isa_for_test(isa);
      for (int threads : {1, 2}) {
        Engine engine(c, threads);
        for (int64_t chunk : {1, 7, 64, 1000}) {
          Sequence s(c, tokens);
          while (s.done < tokens.n_tokens) engine.step({{&s, std::min(chunk, tokens.n_tokens - s.done)}});
          expect_same(reference, s, 0, fmt::format("{} threads {} chunk {}", isa_name(isa), threads, chunk));
        }
      }
    }
  }
}

// Beyond 1024 tokens there are several parts, done by different threads in rounds, or by one thread in turn.
TEST_P(AttentionConfigs, PartsGiveTheSameBits) {
  const Config c = configs()[GetParam()];
  SCOPED_TRACE(describe(c));
  constexpr int64_t kTokens = 3150, kFrom = 3060;
  const Tokens tokens(c, kTokens, 11, Data::kPlain);
  set_isa_for_test(Isa::kScalar);
  Sequence reference(c, tokens);
  {
    Engine engine(c, 2);
    engine.skip({&reference, kTokens - 5});
    engine.step({{&reference, 5}});
    expect_near_reference(c, reference, kTokens - 5);
  }
  std::unique_ptr<Sequence> first;
  for (Isa isa : isas()) {
    if (isa == Isa::kScalar && best_isa() != Isa::kScalar) continue;
    set_isa_for_test(isa);
    for (int threads : {1, 2, 5}) {
      for (int64_t chunk : {1, 7, 64, 1000}) {
        Engine engine(c, threads);
        auto s = std::make_unique<Sequence>(c, tokens);
        engine.skip({s.get(), kFrom});
        while (s->done < kTokens) engine.step({{s.get(), std::min(chunk, kTokens - s->done)}});
        const auto what = fmt::format("{} threads {} chunk {}", isa_name(isa), threads, chunk);
        expect_same(reference, *s, kTokens - 5, what);
        if (first)
          expect_same(*first, *s, kFrom, what);
        else
          first = std::move(s);
      }
    }
  }
}

// Decode rows of three sequences of different lengths and a prefill chunk of a fourth in one batch.
TEST_P(AttentionConfigs, OtherSequencesInTheBatchChangeNothing) {
  const Config c = configs()[GetParam()];
  SCOPED_TRACE(describe(c));
  const int64_t lengths[] = {1100, 40, 2500, 600};
  std::vector<Tokens> tokens;
  for (unsigned i = 0; i < 4; ++i) tokens.emplace_back(c, lengths[i], 20 + i, Data::kPlain);
  for (Isa isa : isas()) {
    if (isa == Isa::kScalar && best_isa() != Isa::kScalar) continue;
    set_isa_for_test(isa);
    for (int threads : {1, 2}) {
      Engine engine(c, threads);
      std::vector<Sequence> alone, together;
      for (const Tokens& t : tokens) {
        alone.emplace_back(c, t);
        together.emplace_back(c, t);
      }
      const auto rows = [&](size_t i) { return i == 3 ? int64_t{90} : int64_t{1}; };
      for (size_t i = 0; i < 4; ++i) {
        engine.skip({&alone[i], lengths[i] - 2 * rows(i)});
        engine.skip({&together[i], lengths[i] - 2 * rows(i)});
        engine.step({{&alone[i], rows(i)}});
        engine.step({{&alone[i], rows(i)}});
      }
      engine.step({{&together[0], 1}, {&together[3], 90}, {&together[1], 1}, {&together[2], 1}});
      engine.step({{&together[2], 1}, {&together[1], 1}, {&together[0], 1}, {&together[3], 90}});
      for (size_t i = 0; i < 4; ++i)
        expect_same(alone[i], together[i], lengths[i] - 2 * rows(i),
                    fmt::format("{} seq {}", isa_name(isa), i));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, AttentionConfigs, ::testing::Range<size_t>(0, configs().size()));

// More rows than a tile, with many parts: rounds with a sum that goes over to the next one.
TEST(Attention, ManyRoundsGiveTheSameBits) {
  const Isa before = active_isa();
  const Config c = {2, 1, 32, 32, KvType::kF16, KvType::kF16, 0};
  constexpr int64_t kTokens = 60000;
  const Tokens tokens(c, kTokens, 5, Data::kPlain);
  for (Isa isa : isas()) {
    if (isa == Isa::kScalar && best_isa() != Isa::kScalar) continue;
    set_isa_for_test(isa);
    Sequence one(c, tokens), two(c, tokens), rows(c, tokens);
    Engine single(c, 1), twin(c, 2);
    single.skip({&one, kTokens - 3});
    single.step({{&one, 3}});
    twin.skip({&two, kTokens - 3});
    twin.step({{&two, 3}});
    twin.skip({&rows, kTokens - 3});
    for (int i = 0; i < 3; ++i) twin.step({{&rows, 1}});
    expect_same(one, two, kTokens - 3, "threads");
    expect_same(one, rows, kTokens - 3, "rows");
  }
  set_isa_for_test(before);
}

TEST(Attention, BlocksOutsideTheWindowMayBeNull) {
  const Isa before = active_isa();
  const Config c = {6, 2, 64, 64, KvType::kF16, KvType::kF16, 200};
  const Tokens tokens(c, 2200, 6, Data::kPlain);
  for (Isa isa : isas()) {
    set_isa_for_test(isa);
    Sequence full(c, tokens), holes(c, tokens);
    Engine engine(c, 2);
    engine.skip({&full, 2190});
    engine.step({{&full, 10}});
    engine.skip({&holes, 2190});
    for (size_t b = 0; b < (2190 - 199) / 32; ++b) holes.pointers[b] = nullptr;
    engine.step({{&holes, 10}});
    expect_same(full, holes, 2190, isa_name(isa));
  }
  set_isa_for_test(before);
}

// What lies in the block behind a query's position must not reach it.
TEST(Attention, LaterTokensOfABlockDoNotLeak) {
  const Isa before = active_isa();
  const Config c = {3, 1, 32, 32, KvType::kF32, KvType::kF32, 0};
  const Tokens tokens(c, 20, 7, Data::kPlain);
  for (Isa isa : isas()) {
    set_isa_for_test(isa);
    Sequence clean(c, tokens), dirty(c, tokens);
    const AttentionShape shape = c.shape();
    for (size_t at : {shape.k_offset, shape.v_offset}) {
      float* x = reinterpret_cast<float*>(dirty.blocks[0].data + at);
      for (int i = 0; i < 32 * 32; ++i) x[i] = i % 2 == 0 ? std::numeric_limits<float>::max() : -1e38f;
    }
    Engine engine(c, 1);
    for (int i = 0; i < 20; ++i) {
      engine.step({{&clean, 1}});
      engine.step({{&dirty, 1}});
    }
    expect_same(clean, dirty, 0, isa_name(isa));
  }
  set_isa_for_test(before);
}

// A sum can be -0 (a product that underflows); then the sign of a masked token's value, times 0, must not
// show either.
TEST(Attention, LaterTokensDoNotChangeTheSignOfZero) {
  const Isa before = active_isa();
  const Config c = {1, 1, 32, 32, KvType::kF32, KvType::kF32, 0};
  Tokens tokens(c, 2, 12, Data::kPlain);
  for (size_t d = 0; d < 32; ++d) {
    tokens.q[d] = tokens.q[32 + d] = d == 0 ? 1.0f : 0.0f;
    tokens.k[d] = 0.0f;
    tokens.k[32 + d] = d == 0 ? -69.0f : 0.0f;
    tokens.v[d] = 0.0f;
    tokens.v[32 + d] = -1e-30f;
  }
  for (Isa isa : isas()) {
    set_isa_for_test(isa);
    Sequence clean(c, tokens), dirty(c, tokens);
    float* v = reinterpret_cast<float*>(dirty.blocks[0].data + c.shape().v_offset);
    for (int i = 0; i < 32 * 32; ++i) v[i] = -1.0f;
    Engine engine(c, 1);
    engine.step({{&clean, 2}});
    engine.step({{&dirty, 2}});
    expect_same(clean, dirty, 0, isa_name(isa));
  }
  set_isa_for_test(before);
}

TEST(Attention, ScratchDoesNotDependOnTheContext) {
  AttentionShape s = Config{9, 3, 64, 64, KvType::kF16, KvType::kF16, 0}.shape();
  EXPECT_EQ(attention_scratch_bytes(s, 256, 2) % 64, 0u);
  EXPECT_LT(attention_scratch_bytes(s, 256, 2), size_t{1} << 20);
}

// The same bits on every machine and with every compiler.
TEST(Attention, GoldenBits) {
  const Config c = {6, 2, 64, 64, KvType::kF16, KvType::kF16, 0};
  Tokens tokens(c, 1200, 9, Data::kEqual);
  uint32_t state = 1;
  for (auto* v : {&tokens.q, &tokens.k, &tokens.v}) {
    for (float& x : *v) {
      state = state * 1664525u + 1013904223u;
      x = static_cast<float>(static_cast<int32_t>(state)) * (v == &tokens.q ? 0x1p-32f : 0x1p-30f);
    }
  }
  Sequence s(c, tokens);
  Engine engine(c, 2);
  engine.skip({&s, 1190});
  engine.step({{&s, 10}});
  uint64_t hash = 0xcbf29ce484222325ull;
  for (size_t i = 1190 * 6 * 64; i < s.out.size(); ++i)
    hash = (hash ^ std::bit_cast<uint32_t>(s.out[i])) * 0x100000001b3ull;
  EXPECT_EQ(hash, 7094344801517477683ull);
}

}  // namespace
}  // namespace quipu::kernels
