// Weights that no training makes: scales of zero, denormal, huge, infinite, not a number. Whatever comes out,
// it comes out the same for every batch, thread count and instruction set.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "gguf/temporary_folder.h"
#include "kernels/dispatch.h"
#include "model/local_model.h"
#include "model/tiny_model.h"

namespace quipu {
namespace {

using test::TinyModel;
using test::TinyTensor;

struct Poison {
  const char* name;
  std::vector<uint16_t> halves;  // for the scales of blocks and for F16
  std::vector<float> floats;     // for F32 and BF16
  const char* where;             // tensors whose name holds this
  bool finite = false;           // the logits must be
};

const Poison kPoisons[] = {
    {"Zero", {0, 0x8000}, {0.0f, -0.0f}, "weight", true},
    {"Denormal", {1, 0x8001, 0x03ff, 0x0400}, {1e-45f, -1e-40f, 1.1754944e-38f, -1e-30f}, "weight", true},
    {"Huge", {0x7bff, 0xfbff, 0x7000}, {3e38f, -3e38f, 1e30f}, "ffn_"},
    {"HugeEverywhere", {0x7bff, 0xfbff}, {3e38f, -3e38f}, "weight"},
    {"Infinite", {0x7c00, 0xfc00}, {INFINITY, -INFINITY}, "attn_v"},
    {"InfiniteKeys", {0x7c00, 0xfc00}, {INFINITY, -INFINITY}, "attn_k"},
    {"NotANumber", {0x7e00, 0xffff}, {NAN, -NAN}, "ffn_down"},
    {"Output", {0x7c00, 0x7bff, 1, 0x7e00}, {INFINITY, 3e38f, 1e-45f, NAN}, "output.weight"},
    {"Norms", {0x7bff, 1, 0x7c00}, {3e38f, 1e-45f, INFINITY}, "norm"},
};

constexpr TensorType kTypes[] = {TensorType::kF32,  TensorType::kF16,  TensorType::kBF16, TensorType::kQ4_0,
                                 TensorType::kQ4_1, TensorType::kQ8_0, TensorType::kQ4_K, TensorType::kQ6_K};

// Every third block or element of the tensors concerned: with more of them nothing but not-a-number comes
// out.
void poison(const Poison& p, const TinyTensor& t, std::span<std::byte> blocks) {
  if (t.name.find(p.where) == std::string::npos) return;
  const auto step = static_cast<size_t>(type_info(t.type)->block_bytes);
  // Where a block's halves lie: d and, for Q4_1 and Q4_K, the minimum behind it.
  const size_t at = t.type == TensorType::kQ6_K ? 208 : 0;
  const bool has_minimum = t.type == TensorType::kQ4_1 || t.type == TensorType::kQ4_K;
  size_t n = 0;
  for (size_t b = 0; b < blocks.size(); b += step * 3, ++n) {
    if (t.type == TensorType::kF32) {
      std::memcpy(&blocks[b], &p.floats[n % p.floats.size()], 4);
    } else if (t.type == TensorType::kBF16) {
      const uint16_t v = float_to_bf16(p.floats[n % p.floats.size()]);
      std::memcpy(&blocks[b], &v, 2);
    } else {
      const size_t which = has_minimum && n % 2 == 1 ? 2 : 0;
      std::memcpy(&blocks[b + at + which], &p.halves[n % p.halves.size()], 2);
    }
  }
}

struct How {
  int64_t chunk = kMaxBatchRows;
  int threads = 1;
  Isa isa = Isa::kScalar;
};

std::vector<float> logits(const std::string& path, std::span<const int32_t> tokens, How how) {
  LocalOptions options;
  options.n_ctx = static_cast<int64_t>(tokens.size());
  options.n_outputs = how.chunk;
  options.n_threads = how.threads;
  options.chunk = how.chunk;
  auto model = LocalModel::open(path, options);
  if (!model) {
    ADD_FAILURE() << model.error().message;
    return {};
  }
  kernels::set_isa_for_test(how.isa);
  std::vector<float> out;
  EXPECT_TRUE((*model)->feed(tokens, 0, [&](int64_t, std::span<const float> row) {
    out.insert(out.end(), row.begin(), row.end());
  }));
  kernels::set_isa_for_test(best_isa());
  return out;
}

// Equal bits. Of not-a-number only that it is one: which of two operands' bits survive is the compiler's
// choice.
size_t differences(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return SIZE_MAX;
  size_t n = 0;
  for (size_t i = 0; i < a.size(); ++i)
    n += std::memcmp(&a[i], &b[i], sizeof(float)) != 0 && !(std::isnan(a[i]) && std::isnan(b[i]));
  return n;
}

class Adversarial : public testing::TestWithParam<TensorType> {};

TEST_P(Adversarial, OneResult) {
  std::vector<int32_t> tokens(40);
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<int32_t>((i * 13 + i * i) % 40);
  for (const Poison& p : kPoisons) {
    TinyModel m{.n_embd = 256,
                .n_heads = 4,
                .n_kv_heads = 2,
                .head_dim_k = 64,
                .head_dim_v = 64,
                .n_ff = 256,
                .type = GetParam(),
                .spread = 0.05f};
    m.change_blocks = [&](const TinyTensor& t, std::span<std::byte> blocks) { poison(p, t, blocks); };
    const gguf::test::TemporaryFolder folder;
    const std::vector<std::byte> bytes = m.bytes();
    const std::string path =
        folder.write("m.gguf", {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    const auto want = logits(path, tokens, {});
    if (p.finite) {
      EXPECT_TRUE(std::ranges::all_of(want, [](float v) { return std::isfinite(v); })) << p.name;
    }
    const auto expect = [&](How how) {
      EXPECT_EQ(differences(logits(path, tokens, how), want), 0u)
          << p.name << ": " << isa_name(how.isa) << ", chunks of " << how.chunk << ", " << how.threads
          << " threads";
    };
    expect({.chunk = 7});
    for (const Isa isa : {Isa::kAvx2, Isa::kAvx512}) {
      if (isa > best_isa()) continue;
      expect({.isa = isa});
      expect({.chunk = 1, .isa = isa});
      expect({.chunk = 7, .threads = 2, .isa = isa});
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, Adversarial, testing::ValuesIn(kTypes),
                         [](const auto& info) { return std::string(type_name(info.param)); });

}  // namespace
}  // namespace quipu
