#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "kernels/attention.h"
#include "kernels/attention_fixture.h"
#include "quant/codec.h"

namespace quipu::kernels {
namespace {

using namespace test;  // NOLINT: a test

TEST(StoreKv, RoundsClampsAndPlacesEveryElement) {
  const Isa before = active_isa();
  for (KvType type : {KvType::kF16, KvType::kF32, KvType::kBf16}) {
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
    const auto expected = [&](float x) {
      const float limit = type == KvType::kF16   ? 65504.0f
                          : type == KvType::kF32 ? std::numeric_limits<float>::max()
                                                 : 0x1.fep127f;
      x = std::isnan(x) ? 0.0f : std::clamp(x, -limit, limit);
      if (type == KvType::kF32) return x;
      return type == KvType::kF16 ? static_cast<float>(static_cast<_Float16>(x))
                                  : bf16_to_float(float_to_bf16(x));
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
              ASSERT_EQ(std::bit_cast<uint32_t>(stored_k(k, type, d, t)),
                        std::bit_cast<uint32_t>(expected(tokens.k[(t * 2 + head) * 64 + d])))
                  << isa_name(isa) << " chunk " << chunk << " token " << t << " dim " << d;
            for (size_t d = 0; d < 96; ++d)
              ASSERT_EQ(std::bit_cast<uint32_t>(stored_v(v, type, d, t)),
                        std::bit_cast<uint32_t>(expected(tokens.v[(t * 2 + head) * 96 + d])))
                  << isa_name(isa) << " chunk " << chunk << " token " << t << " dim " << d;
          }
        }
        // Lanes behind the last token are untouched.
        EXPECT_EQ(stored_k(s.pointers[3] + shape.k_offset, type, 0, 4), 0.0f);
      }
    }
  }
  set_isa_for_test(before);
}

// A token's 32 values are a block as GGUF's encoder makes it.
TEST(StoreKv, QuantisedTokensAreBlocksOfGguf) {
  const Isa before = active_isa();
  for (const auto& [type, tensor] :
       {std::pair{KvType::kQ8_0, TensorType::kQ8_0}, {KvType::kQ4_0, TensorType::kQ4_0}}) {
    const Config c = {2, 2, 64, 96, type, type, 0};
    const AttentionShape shape = c.shape();
    Tokens tokens(c, 100, 8, Data::kPlain);
    // Ties, halves and zeros: all values of a token are multiples of 1/4, or none at all.
    for (size_t i = 0; i < tokens.k.size(); ++i)
      if (i / 128 % 3 == 0) tokens.k[i] = static_cast<float>(static_cast<int>(i * 7919 % 65) - 32) * 0.25f;
    std::fill_n(tokens.v.begin(), 5 * 2 * 96, 0.0f);
    const auto expected = [&, tensor = tensor](const float* x) {
      std::vector<std::byte> block(64);
      encode_row(tensor, x, block.data(), 32);
      std::vector<float> y(32);
      decode_row(tensor, block.data(), y.data(), 32);
      return y;
    };
    for (Isa isa : isas()) {
      set_isa_for_test(isa);
      for (int64_t chunk : {1, 3, 40, 100}) {
        Engine engine(c, 2);
        Sequence s(c, tokens);
        // What another sequence left is overwritten.
        for (Bytes& block : s.blocks) std::memset(block.data, 0x5A, c.block_bytes());
        while (s.done < 100) engine.skip({&s, std::min(chunk, 100 - s.done)});
        for (size_t t = 0; t < 100; ++t) {
          for (size_t head = 0; head < 2; ++head) {
            const std::byte* k = s.pointers[t / 32] + shape.k_offset + head * shape.k_head_bytes;
            const std::byte* v = s.pointers[t / 32] + shape.v_offset + head * shape.v_head_bytes;
            for (size_t d = 0; d < 96; d += 32) {
              const auto want_v = expected(&tokens.v[(t * 2 + head) * 96 + d]);
              for (size_t i = 0; i < 32; ++i)
                ASSERT_EQ(stored_v(v, type, d + i, t), want_v[i])
                    << isa_name(isa) << " " << t << " " << d + i;
              if (d >= 64) continue;
              const auto want_k = expected(&tokens.k[(t * 2 + head) * 64 + d]);
              for (size_t i = 0; i < 32; ++i)
                ASSERT_EQ(stored_k(k, type, d + i, t), want_k[i])
                    << isa_name(isa) << " " << t << " " << d + i;
            }
          }
        }
      }
    }
  }
  set_isa_for_test(before);
}

TEST(StoreKv, OddValuesAreFiniteWhenQuantised) {
  uint8_t q[32];
  float x[32] = {};
  for (const auto round : {kv_round_q8, kv_round_q4}) {
    x[0] = std::numeric_limits<float>::infinity();
    x[1] = -std::nanf("");
    x[2] = -std::numeric_limits<float>::infinity();
    EXPECT_EQ(round(x, q) & 0x7fff, 0x7bff);  // the largest scale
    x[0] = 1e-42f;
    x[1] = x[2] = 0;
    EXPECT_EQ(round(x, q), 0);  // too small for one
    EXPECT_EQ(std::count(q, q + 32, q[5]), 32);
  }
}

}  // namespace
}  // namespace quipu::kernels
