#include "kv/layout.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "memory/plan.h"

namespace quipu::kv {
namespace {

using kernels::AttentionShape;
using kernels::KvType;

constexpr KvType kTypes[] = {KvType::kF16, KvType::kF32, KvType::kBf16, KvType::kQ8_0, KvType::kQ4_0};

TEST(KvLayout, SizesOfAKnownModel) {
  const KvLayout layout({.n_layers = 30, .n_kv_heads = 3, .head_dim_k = 64, .head_dim_v = 64});
  EXPECT_EQ(layout.block_bytes(), 32u * 2 * 30 * 3 * (64 + 64));
  EXPECT_EQ(layout.padded_k(), 64);
}

// Every byte belongs to at most one (layer, head, K or V), and all of them lie inside the block.
TEST(KvLayout, PiecesDoNotOverlap) {
  for (KvType k : kTypes) {
    for (KvType v : kTypes) {
      const GroupShape shape = {3, 2, 80, 40, k, v};
      const KvLayout layout(shape);
      EXPECT_EQ(layout.padded_k(), 96);
      EXPECT_EQ(layout.padded_v(), 64);
      EXPECT_EQ(layout.block_bytes() % 4096, 0u);
      std::vector<int> used(layout.block_bytes());
      for (int l = 0; l < shape.n_layers; ++l) {
        const AttentionShape s = layout.layer_shape(l);
        EXPECT_EQ(s.n_kv_heads, 2);
        EXPECT_EQ(s.head_dim_k, 96);
        EXPECT_EQ(s.head_dim_v, 64);
        EXPECT_EQ(s.type_k, k);
        EXPECT_EQ(s.type_v, v);
        for (size_t h = 0; h < 2; ++h) {
          const size_t at_k = s.k_offset + h * s.k_head_bytes, at_v = s.v_offset + h * s.v_head_bytes;
          EXPECT_EQ(at_k % 64, 0u);
          EXPECT_EQ(at_v % 64, 0u);
          for (size_t i = 0; i < 96u * static_cast<size_t>(kv_bytes_per_32(k)); ++i) ++used.at(at_k + i);
          for (size_t i = 0; i < 64u * static_cast<size_t>(kv_bytes_per_32(v)); ++i) ++used.at(at_v + i);
        }
      }
      EXPECT_EQ(*std::max_element(used.begin(), used.end()), 1);
    }
  }
}

TEST(KvLayout, RotationsAreOfPowersOfTwo) {
  EXPECT_EQ(rotation_of_k(64, KvType::kQ8_0), 64);
  EXPECT_EQ(rotation_of_k(128, KvType::kQ4_0), 128);
  EXPECT_EQ(rotation_of_k(192, KvType::kQ8_0), 64);
  EXPECT_EQ(rotation_of_k(320, KvType::kQ8_0), 64);
  for (int odd : {0, -64, 32, 80, 96}) EXPECT_EQ(rotation_of_k(odd, KvType::kQ8_0), 0);
  EXPECT_EQ(rotation_of_v(128, KvType::kQ4_0), 64);
  EXPECT_EQ(rotation_of_v(128, KvType::kQ8_0), 0);
  EXPECT_EQ(rotation_of_v(96, KvType::kQ4_0), 0);
  for (KvType whole : {KvType::kF16, KvType::kBf16, KvType::kF32}) EXPECT_EQ(rotation_of_k(64, whole), 0);
}

// What is allocated is what was planned, odd head sizes and small models included.
TEST(KvLayout, BlocksAreAsLargeAsThePlanSays) {
  for (KvType k : kTypes)
    for (KvType v : kTypes)
      for (int layers : {1, 3, 30})
        for (int heads : {1, 3, 8})
          for (const auto& [dim_k, dim_v] : {std::pair{32, 32}, {40, 80}, {128, 64}, {96, 32}}) {
            const KvLayout layout({layers, heads, dim_k, dim_v, k, v});
            memory::ModelShape shape;
            shape.groups.push_back({layers, heads, layout.padded_k(), layout.padded_v(), 0});
            memory::RuntimeOptions options;
            options.n_ctx = 32;
            options.k_bytes_per_32 = kernels::kv_bytes_per_32(k);
            options.v_bytes_per_32 = kernels::kv_bytes_per_32(v);
            const memory::MemoryPlan p = memory::plan(shape, options);
            EXPECT_EQ(p.kv_block_bytes, layout.block_bytes());
            EXPECT_EQ(p.kv_ceiling, layout.block_bytes());
          }
}

TEST(KvLayout, ImpossibleShapesHaveNoSize) {
  constexpr int kMax = std::numeric_limits<int>::max();
  EXPECT_EQ(KvLayout(GroupShape{}).block_bytes(), 0u);
  EXPECT_EQ(KvLayout({.n_layers = -1, .n_kv_heads = 1, .head_dim_k = 64, .head_dim_v = 64}).block_bytes(),
            0u);
  EXPECT_EQ(KvLayout({.n_layers = 1, .n_kv_heads = 1, .head_dim_k = kMax, .head_dim_v = 64}).block_bytes(),
            0u);
  EXPECT_EQ(KvLayout({.n_layers = kMax, .n_kv_heads = kMax, .head_dim_k = kMax - 64, .head_dim_v = 64})
                .block_bytes(),
            0u);
}

}  // namespace
}  // namespace quipu::kv
