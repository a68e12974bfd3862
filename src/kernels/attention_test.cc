#include "kernels/attention.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <vector>

#include "base/checked.h"
#include "kernels/dispatch.h"

namespace quipu::kernels {
namespace {

std::vector<Isa> isas() {
  std::vector<Isa> list;
  for (Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512})
    if (isa <= best_isa()) list.push_back(isa);
  return list;
}

struct Bytes {  // 64-byte aligned, zeroed
  explicit Bytes(size_t n) : data(static_cast<std::byte*>(std::aligned_alloc(64, round_up<size_t>(n, 64)))) {
    std::memset(data, 0, round_up<size_t>(n, 64));
  }
  ~Bytes() { std::free(data); }
  Bytes(Bytes&& o) noexcept : data(std::exchange(o.data, nullptr)) {}
  std::byte* data;
};

float half_value(const std::byte* p, size_t i) {
  _Float16 h;
  std::memcpy(&h, p + 2 * i, 2);
  return static_cast<float>(h);
}

struct Config {
  int heads, kv_heads, dim_k, dim_v;
  KvType type_k = KvType::kF16, type_v = KvType::kF16;
  int64_t window = 0;

  AttentionShape shape() const {
    AttentionShape s;
    s.n_heads = heads;
    s.n_kv_heads = kv_heads;
    s.head_dim_k = round_up(dim_k, 32);
    s.head_dim_v = round_up(dim_v, 32);
    s.type_k = type_k;
    s.type_v = type_v;
    s.k_head_bytes = static_cast<size_t>(32 * s.head_dim_k * kv_elem_bytes(type_k));
    s.v_head_bytes = static_cast<size_t>(32 * s.head_dim_v * kv_elem_bytes(type_v));
    s.k_offset = 64;  // not at the start
    s.v_offset = s.k_offset + static_cast<size_t>(kv_heads) * s.k_head_bytes;
    s.window = window;
    return s;
  }
  size_t block_bytes() const {
    const AttentionShape s = shape();
    return s.v_offset + static_cast<size_t>(kv_heads) * s.v_head_bytes;
  }
};

enum class Data { kPlain, kHuge, kEqual, kTiny, kMixed };

// One sequence: queries, keys and values of every position, made once.
struct Tokens {
  Tokens(const Config& c, int64_t n, unsigned seed, Data kind) : n_tokens(n) {
    const AttentionShape s = c.shape();
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    const auto fill = [&](std::vector<float>& v, int heads, int padded, int dim, float scale, bool query) {
      v.assign(static_cast<size_t>(n * heads * padded), 0.0f);
      for (int64_t row = 0; row < n * heads; ++row) {
        for (int d = 0; d < dim; ++d) {
          float x = normal(random) * scale;
          if (kind == Data::kHuge) x *= query ? 1e33f : 1e5f;  // saturates f16; scores overflow
          if (kind == Data::kEqual) x = 0.75f;
          if (kind == Data::kTiny) x *= query ? 1e-38f : 1e-6f;
          if (kind == Data::kMixed && random() % 7 == 0) {
            const float odd[] = {0.0f, -0.0f, 1e-40f, 70000.0f, -70000.0f, 6e-8f, -3e-8f, 65519.0f, 2e-5f};
            x = odd[random() % std::size(odd)];
          }
          v[static_cast<size_t>(row * padded + d)] = x;
        }
      }
    };
    fill(q, c.heads, s.head_dim_k, c.dim_k, 1.0f / std::sqrt(static_cast<float>(c.dim_k)), true);
    fill(k, c.kv_heads, s.head_dim_k, c.dim_k, 1.5f, false);
    fill(v, c.kv_heads, s.head_dim_v, c.dim_v, 1.0f, false);
  }
  int64_t n_tokens;
  std::vector<float> q, k, v;
};

// A sequence's cache and results.
struct Sequence {
  Sequence(const Config& c, const Tokens& t) : config(c), tokens(t) {
    const int64_t n_blocks = ceil_div<int64_t>(t.n_tokens, kBlockTokens);
    for (int64_t i = 0; i < n_blocks; ++i) {
      blocks.emplace_back(c.block_bytes());
      pointers.push_back(blocks.back().data);
    }
    out.assign(static_cast<size_t>(t.n_tokens * c.heads * c.shape().head_dim_v), -1.0f);
  }
  const Config& config;
  const Tokens& tokens;
  std::vector<Bytes> blocks;
  std::vector<const std::byte*> pointers;
  std::vector<float> out;
  int64_t done = 0;
};

// Runs steps over sequences, as an engine would: K and V of the step's rows are stored, then all rows attend.
struct Engine {
  Engine(const Config& c, int threads)
      : config(c), shape(c.shape()), pool(std::move(*ThreadPool::create(threads))) {}

  struct Rows {
    Sequence* seq;
    int64_t n;
  };

  AttentionSeq rows_of(const Rows& r, int64_t row0) const {
    return {row0, r.n, r.seq->done, r.seq->pointers.data()};
  }

  void store(const Rows& r) {
    const int64_t ldk = int64_t{config.kv_heads} * shape.head_dim_k,
                  ldv = int64_t{config.kv_heads} * shape.head_dim_v;
    store_kv(*pool, shape, rows_of(r, 0), r.seq->tokens.k.data() + r.seq->done * ldk, ldk,
             r.seq->tokens.v.data() + r.seq->done * ldv, ldv);
  }

  // K and V only.
  void skip(const Rows& r) {
    store(r);
    r.seq->done += r.n;
  }

  void step(const std::vector<Rows>& batch) {
    const int64_t width = int64_t{config.heads} * shape.head_dim_k,
                  out_width = int64_t{config.heads} * shape.head_dim_v;
    const int64_t ldq = width + 16, ldo = out_width + 32;
    int64_t total = 0;
    std::vector<AttentionSeq> seqs;
    for (const Rows& r : batch) {
      store(r);
      seqs.push_back(rows_of(r, total));
      total += r.n;
    }
    std::vector<float> q(static_cast<size_t>(total * ldq)), out(static_cast<size_t>(total * ldo), 5.0f);
    int64_t row = 0;
    for (const Rows& r : batch)
      for (int64_t i = 0; i < r.n; ++i, ++row)
        std::memcpy(&q[static_cast<size_t>(row * ldq)],
                    &r.seq->tokens.q[static_cast<size_t>((r.seq->done + i) * width)],
                    static_cast<size_t>(width) * sizeof(float));
    // A guard behind the scratch: it must suffice, whatever the context's length.
    const size_t bytes = attention_scratch_bytes(shape, total, pool->size());
    Bytes scratch(bytes + 64);
    std::memset(scratch.data, 0xEE, bytes + 64);
    attention(*pool, shape, seqs, q.data(), ldq, out.data(), ldo, scratch.data);
    for (size_t i = bytes; i < bytes + 64; ++i) ASSERT_EQ(scratch.data[i], std::byte{0xEE});
    row = 0;
    for (const Rows& r : batch) {
      for (int64_t i = 0; i < r.n; ++i, ++row) {
        std::memcpy(&r.seq->out[static_cast<size_t>((r.seq->done + i) * out_width)],
                    &out[static_cast<size_t>(row * ldo)], static_cast<size_t>(out_width) * sizeof(float));
        for (int64_t j = out_width; j < ldo; ++j) ASSERT_EQ(out[static_cast<size_t>(row * ldo + j)], 5.0f);
      }
      r.seq->done += r.n;
    }
  }

  Config config;
  AttentionShape shape;
  std::unique_ptr<ThreadPool> pool;
};

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
  const auto element = [](const std::byte* p, KvType type, size_t i) {
    float f;
    std::memcpy(&f, p + (type == KvType::kF16 ? 0 : 4 * i), 4);
    return type == KvType::kF16 ? half_value(p, i) : f;
  };
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
          sum += static_cast<double>(q[d]) * element(k, shape.type_k, static_cast<size_t>(d * 32 + t % 32));
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
              p * element(v, shape.type_v, static_cast<size_t>(d / 32 * 1024 + t % 32 * 32 + d % 32));
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
  constexpr KvType h = KvType::kF16, f = KvType::kF32;
  return {
      {3, 3, 32, 32, h, h, 0},  {9, 3, 64, 64, h, h, 0},    {9, 3, 64, 64, f, f, 0},
      {8, 2, 80, 80, h, h, 0},  {4, 1, 128, 128, h, h, 0},  {8, 2, 64, 64, h, h, 100},
      {9, 3, 64, 64, f, f, 33}, {7, 1, 32, 32, h, f, 1},    {2, 1, 96, 64, f, h, 64},
      {4, 4, 64, 64, h, h, 0},  {26, 2, 32, 32, h, h, 500}, {5, 1, 40, 48, h, h, 7},
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

TEST(Attention, ScratchDoesNotDependOnTheContext) {
  AttentionShape s = Config{9, 3, 64, 64, KvType::kF16, KvType::kF16, 0}.shape();
  EXPECT_EQ(attention_scratch_bytes(s, 256, 2) % 64, 0u);
  EXPECT_LT(attention_scratch_bytes(s, 256, 2), size_t{1} << 20);
}

TEST(StoreKv, RoundsClampsAndPlacesEveryElement) {
  const Isa before = active_isa();
  for (KvType type : {KvType::kF16, KvType::kF32}) {
    const Config c = {2, 2, 64, 96, type, type, 0};
    const AttentionShape shape = c.shape();
    Tokens tokens(c, 100, 8, Data::kMixed);
    const float odd[] = {std::nanf(""),
                         -std::nanf(""),
                         std::numeric_limits<float>::infinity(),
                         -std::numeric_limits<float>::infinity(),
                         65519.9f,
                         65520.0f,
                         1e-8f,
                         2.98e-8f,
                         2.99e-8f,
                         6.1e-5f,
                         6.097e-5f,
                         1.00048828125f,
                         1.00146484375f,
                         -1e-45f};
    for (size_t i = 0; i < tokens.k.size(); ++i) {
      if (i % 5 == 0) tokens.k[i] = odd[i / 5 % std::size(odd)];
      if (i % 7 == 0) tokens.v[i] = odd[i / 7 % std::size(odd)];
    }
    const float limit = type == KvType::kF16 ? 65504.0f : std::numeric_limits<float>::max();
    const auto expected = [&](float x) {
      x = std::isnan(x) ? 0.0f : std::clamp(x, -limit, limit);
      return type == KvType::kF16 ? static_cast<float>(static_cast<_Float16>(x)) : x;
    };
    const auto stored = [&](const std::byte* p, size_t i) {
      float f;
      std::memcpy(&f, p + (type == KvType::kF16 ? 0 : 4 * i), 4);
      return type == KvType::kF16 ? half_value(p, i) : f;
    };
    for (Isa isa : isas()) {
      set_isa_for_test(isa);
      for (int64_t chunk : {1, 3, 13, 40, 100}) {
        Engine engine(c, 2);
        Sequence s(c, tokens);
        while (s.done < 100) engine.skip({&s, std::min(chunk, 100 - s.done)});
        for (size_t t = 0; t < 100; ++t) {
          for (size_t head = 0; head < 2; ++head) {
            const std::byte* k = s.pointers[t / 32] + shape.k_offset + head * shape.k_head_bytes;
            const std::byte* v = s.pointers[t / 32] + shape.v_offset + head * shape.v_head_bytes;
            for (size_t d = 0; d < 64; ++d)
              ASSERT_EQ(std::bit_cast<uint32_t>(stored(k, d * 32 + t % 32)),
                        std::bit_cast<uint32_t>(expected(tokens.k[(t * 2 + head) * 64 + d])))
                  << isa_name(isa) << " chunk " << chunk << " token " << t << " dim " << d;
            for (size_t d = 0; d < 96; ++d)
              ASSERT_EQ(std::bit_cast<uint32_t>(stored(v, d / 32 * 1024 + t % 32 * 32 + d % 32)),
                        std::bit_cast<uint32_t>(expected(tokens.v[(t * 2 + head) * 96 + d])))
                  << isa_name(isa) << " chunk " << chunk << " token " << t << " dim " << d;
          }
        }
        // Lanes behind the last token are untouched.
        EXPECT_EQ(stored(s.pointers[3] + shape.k_offset, 4), 0.0f);
      }
    }
  }
  set_isa_for_test(before);
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
