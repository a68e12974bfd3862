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

namespace quipu::kernels {
namespace {

using namespace test;  // NOLINT: a test

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

}  // namespace
}  // namespace quipu::kernels
