// One result, always: a token's logits are the same bits however it was computed.
#include <gtest/gtest.h>

#include <cstring>

#include "gguf/temporary_folder.h"
#include "kernels/dispatch.h"
#include "model/local_model.h"
#include "model/test_models.h"
#include "model/tiny_model.h"

namespace quipu {
namespace {

constexpr KvTypes kF16 = {kernels::KvType::kF16, kernels::KvType::kF16};

std::vector<int32_t> some_tokens(size_t n, int64_t n_vocab, uint32_t seed) {
  std::vector<int32_t> ids(n);
  for (auto& id : ids) {
    seed = seed * 1664525u + 1013904223u;
    id = static_cast<int32_t>((seed >> 8) % static_cast<uint32_t>(n_vocab));
  }
  return ids;
}

struct How {
  int64_t chunk = kMaxBatchRows;
  int threads = 1;
  Isa isa = best_isa();
  KvTypes kv = kF16;
};

// Logits of all tokens, computed in batches of `chunk` rows.
std::vector<float> logits(const std::string& path, std::span<const int32_t> tokens, How how) {
  LocalOptions options;
  options.n_ctx = static_cast<int64_t>(tokens.size());
  options.n_outputs = how.chunk;
  options.kv_types = how.kv;
  options.n_threads = how.threads;
  options.chunk = how.chunk;
  auto model = LocalModel::open(path, options);
  EXPECT_TRUE(model.has_value());
  kernels::set_isa_for_test(how.isa);
  std::vector<float> out;
  EXPECT_TRUE((*model)->feed(tokens, 0, [&](int64_t, std::span<const float> row) {
    out.insert(out.end(), row.begin(), row.end());
  }));
  return out;
}

void expect_same_bits(const std::vector<float>& a, const std::vector<float>& b, const std::string& what) {
  ASSERT_EQ(a.size(), b.size()) << what;
  EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size() * sizeof(float)), 0) << what;
}

class Invariance : public testing::TestWithParam<const char*> {};

TEST_P(Invariance, ChunksThreadsAndInstructionSets) {
  const test::TestModel m(GetParam());
  const auto tokens = some_tokens(150, m.n_vocab, 7);
  const auto want = logits(m.path, tokens, {});
  for (int64_t chunk : {1, 7, 64})
    expect_same_bits(logits(m.path, tokens, {.chunk = chunk}), want, "chunk " + std::to_string(chunk));
  expect_same_bits(logits(m.path, tokens, {.threads = 2}), want, "2 threads");
  constexpr KvTypes kF32 = {kernels::KvType::kF32, kernels::KvType::kF32};
  expect_same_bits(logits(m.path, tokens, {.chunk = 7, .kv = kF32}),
                   logits(m.path, tokens, {.threads = 2, .kv = kF32}), "float32 cache, chunks of 7");
  expect_same_bits(logits(m.path, tokens, {.chunk = 7, .threads = 3}), want, "3 threads, chunks of 7");
  for (Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512}) {
    if (isa > best_isa()) continue;
    expect_same_bits(logits(m.path, tokens, {.isa = isa}), want, isa_name(isa));
    expect_same_bits(logits(m.path, tokens, {.chunk = 1, .isa = isa}), want,
                     std::string(isa_name(isa)) + ", one by one");
  }
}

// With other types of the cache too; what is read back within a chunk is what was rounded.
void expect_same_with_every_kv_type(const std::string& path, int64_t n_vocab, const std::string& name) {
  using kernels::KvType;
  const auto tokens = some_tokens(110, n_vocab, 23);
  for (const KvTypes kv : {KvTypes{KvType::kBf16, KvType::kBf16},
                           {KvType::kQ8_0, KvType::kQ8_0},
                           {KvType::kQ4_0, KvType::kQ4_0},
                           {KvType::kQ8_0, KvType::kQ4_0},
                           {KvType::kF16, KvType::kQ8_0}}) {
    const auto want = logits(path, tokens, {.kv = kv});
    for (int64_t chunk : {1, 7})
      expect_same_bits(logits(path, tokens, {.chunk = chunk, .threads = 2, .kv = kv}), want, name);
    for (Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512})
      if (isa <= best_isa())
        expect_same_bits(logits(path, tokens, {.isa = isa, .kv = kv}), want, name + ", " + isa_name(isa));
  }
}

TEST(InvarianceOfKvTypes, ChunksThreadsAndInstructionSets) {
  for (const char* name : {"llama-headdim", "llama-plain"}) {
    const test::TestModel m(name);
    expect_same_with_every_kv_type(m.path, m.n_vocab, name);
  }
}

// Heads that the quantised types store rotated, by matrices of 64, 128 and 256.
TEST(InvarianceOfKvTypes, RotatedHeads) {
  const gguf::test::TemporaryFolder folder;
  for (const auto& [k, v] : std::vector<std::pair<int64_t, int64_t>>{{64, 64}, {128, 192}, {256, 64}}) {
    const test::TinyModel m{.n_heads = 2, .n_kv_heads = 1, .head_dim_k = k, .head_dim_v = v};
    const std::vector<std::byte> bytes = m.bytes();
    const std::string path =
        folder.write("m.gguf", {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    expect_same_with_every_kv_type(path, m.n_vocab,
                                   "heads of " + std::to_string(k) + " and " + std::to_string(v));
  }
}

TEST_P(Invariance, BatchedWithOthers) {
  const test::TestModel m(GetParam());
  const auto tokens = some_tokens(90, m.n_vocab, 11), other = some_tokens(90, m.n_vocab, 13);
  const auto want = logits(m.path, tokens, {});
  LocalOptions options;
  options.n_ctx = 256;
  options.n_sequences = 3;
  options.n_outputs = 8;
  options.kv_types = kF16;
  options.n_threads = 2;
  auto model = LocalModel::open(m.path, options);
  ASSERT_TRUE(model.has_value());
  const std::span<const int32_t> a(tokens), b(other);
  // Sequence 1 is ours: a prefill beside another prefill, then single tokens beside a decode and a chunk.
  const LocalModel::Part first[] = {{0, b.first(33)}, {1, a.first(50)}, {2, b.first(1)}};
  const int32_t last_of_ours = 33 + 49;
  auto row = (*model)->run(first, std::span(&last_of_ours, 1));
  ASSERT_TRUE(row.has_value());
  const auto n = static_cast<size_t>(m.n_vocab);
  EXPECT_EQ(std::memcmp(*row, want.data() + 49 * n, n * sizeof(float)), 0);
  for (size_t i = 50; i < 60; ++i) {
    const LocalModel::Part parts[] = {{0, b.subspan(i, 1)}, {1, a.subspan(i, 1)}, {2, b.subspan(i, 3)}};
    const int32_t ours = 1;
    row = (*model)->run(parts, std::span(&ours, 1));
    ASSERT_TRUE(row.has_value());
    EXPECT_EQ(std::memcmp(*row, want.data() + i * n, n * sizeof(float)), 0) << "token " << i;
  }
}

TEST_P(Invariance, CachedPrefixEqualsFreshPrefill) {
  const test::TestModel m(GetParam());
  const auto tokens = some_tokens(70, m.n_vocab, 17), detour = some_tokens(40, m.n_vocab, 19);
  const auto want = logits(m.path, tokens, {});
  LocalOptions options;
  options.n_ctx = 128;
  options.kv_types = kF16;
  auto model = LocalModel::open(m.path, options);
  ASSERT_TRUE(model.has_value());
  const std::span<const int32_t> a(tokens);
  ASSERT_TRUE((*model)->prefill(0, a.first(45)));
  ASSERT_TRUE((*model)->prefill(0, detour));
  (*model)->rewind(0, 45);  // in the middle of a block that holds other tokens' keys
  std::vector<float> got;
  ASSERT_TRUE((*model)->feed(a.subspan(45), 24, [&](int64_t, std::span<const float> row) {
    got.insert(got.end(), row.begin(), row.end());
  }));
  const auto n = static_cast<size_t>(m.n_vocab);
  EXPECT_EQ(std::memcmp(got.data(), want.data() + 69 * n, n * sizeof(float)), 0);
}

INSTANTIATE_TEST_SUITE_P(All, Invariance,
                         testing::Values("llama-plain", "llama-bias", "llama-headdim", "llama-yarn",
                                         "granite", "llama-quant-f16", "llama-quant-bf16", "llama-quant-q4_0",
                                         "llama-quant-q4_1", "llama-quant-q8_0", "llama-quant-q4_k",
                                         "llama-quant-q6_k", "llama-quant-q4_k_m-mix"));

}  // namespace
}  // namespace quipu
