#include "kv/block_table.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

namespace quipu::kv {
namespace {

struct Fixture : ::testing::Test {
  memory::Ledger ledger;
  std::unique_ptr<BlockPool> pool = std::move(*BlockPool::create(4096, 10, ledger));
};
using BlockTableTest = Fixture;

TEST_F(BlockTableTest, ReserveTakesWholeBlocks) {
  BlockTable table(*pool);
  EXPECT_EQ(table.capacity_tokens(), 0);
  for (int64_t n : {0, -1, -100000}) EXPECT_TRUE(table.reserve(n).has_value());
  EXPECT_EQ(table.ids().size(), 0u);
  EXPECT_TRUE(table.reserve(1).has_value());
  EXPECT_EQ(table.capacity_tokens(), 32);
  EXPECT_TRUE(table.reserve(32).has_value());
  EXPECT_EQ(table.ids().size(), 1u);
  EXPECT_TRUE(table.reserve(33).has_value());
  EXPECT_EQ(table.ids().size(), 2u);
  EXPECT_TRUE(table.reserve(5).has_value());  // never shrinks
  EXPECT_EQ(table.capacity_tokens(), 64);
  ASSERT_EQ(table.blocks().size(), 2u);
  for (size_t i = 0; i < 2; ++i) EXPECT_EQ(table.blocks()[i], pool->data(table.ids()[i]));
  EXPECT_EQ(pool->in_use(), 2u);
}

TEST_F(BlockTableTest, TruncateKeepsStartedBlocks) {
  BlockTable table(*pool);
  ASSERT_TRUE(table.reserve(320).has_value());
  EXPECT_EQ(pool->in_use(), 10u);
  table.truncate(1000);
  EXPECT_EQ(table.ids().size(), 10u);
  table.truncate(65);
  EXPECT_EQ(table.ids().size(), 3u);
  EXPECT_EQ(table.blocks().size(), 3u);
  table.truncate(64);
  EXPECT_EQ(table.ids().size(), 2u);
  EXPECT_EQ(pool->in_use(), 2u);
  table.truncate(-5);
  EXPECT_EQ(table.capacity_tokens(), 0);
  EXPECT_EQ(pool->in_use(), 0u);
}

TEST_F(BlockTableTest, FailureChangesNothing) {
  BlockTable other(*pool), table(*pool);
  ASSERT_TRUE(other.reserve(5 * 32).has_value());
  ASSERT_TRUE(table.reserve(2 * 32).has_value());
  const std::vector<BlockId> ids(table.ids().begin(), table.ids().end());
  const std::vector<const std::byte*> blocks(table.blocks().begin(), table.blocks().end());
  // Three are left: what fails half-way and what can never fit.
  for (int64_t n :
       {int64_t{6 * 32}, int64_t{10 * 32}, int64_t{11 * 32}, std::numeric_limits<int64_t>::max()}) {
    auto r = table.reserve(n);
    ASSERT_FALSE(r.has_value()) << n;
    EXPECT_EQ(r.error().code, Code::kOutOfMemory);
    EXPECT_EQ(pool->in_use(), 7u);
    EXPECT_EQ(std::vector(table.ids().begin(), table.ids().end()), ids);
    EXPECT_EQ(std::vector(table.blocks().begin(), table.blocks().end()), blocks);
  }
  EXPECT_TRUE(table.reserve(5 * 32).has_value());
  EXPECT_EQ(pool->in_use(), 10u);
}

TEST_F(BlockTableTest, DestructionAndMovesReleaseOnce) {
  {
    BlockTable a(*pool);
    ASSERT_TRUE(a.reserve(64).has_value());
    BlockTable b(std::move(a));
    EXPECT_EQ(b.capacity_tokens(), 64);
    EXPECT_EQ(a.capacity_tokens(), 0);  // NOLINT: a moved-from table is empty
    BlockTable c(*pool);
    ASSERT_TRUE(c.reserve(96).has_value());
    EXPECT_EQ(pool->in_use(), 5u);
    c = std::move(b);
    EXPECT_EQ(pool->in_use(), 2u);
    BlockTable& self = c;
    c = std::move(self);
    EXPECT_EQ(c.capacity_tokens(), 64);
    EXPECT_TRUE(a.reserve(32).has_value());  // usable again
    EXPECT_EQ(pool->in_use(), 3u);
  }
  EXPECT_EQ(pool->in_use(), 0u);
}

// A block shared with someone else stays with him.
TEST_F(BlockTableTest, SharedBlocksSurvive) {
  BlockTable table(*pool);
  ASSERT_TRUE(table.reserve(64).has_value());
  const BlockId shared = table.ids()[1];
  pool->retain(shared);
  table.truncate(0);
  EXPECT_EQ(pool->references(shared), 1u);
  EXPECT_EQ(pool->in_use(), 1u);
  pool->release(shared);
}

TEST_F(BlockTableTest, WhatIsSharedIsCopiedWhenItIsWritten) {
  BlockTable table(*pool);
  ASSERT_TRUE(table.reserve(3 * 32).has_value());
  for (size_t b = 0; b < 3; ++b) std::memset(pool->data(table.ids()[b]), static_cast<int>(b + 1), 4096);
  BlockTable fork(*pool);
  ASSERT_TRUE(fork.reserve(32));
  for (int64_t b : {0, 1}) fork.share(b, table.ids()[static_cast<size_t>(b)]);
  EXPECT_EQ(fork.ids().size(), 2u);
  EXPECT_EQ(pool->in_use(), 3u) << "shared, not copied";
  EXPECT_EQ(pool->references(table.ids()[1]), 2u);

  ASSERT_TRUE(fork.make_writable(40).has_value());
  EXPECT_EQ(pool->in_use(), 4u);
  EXPECT_EQ(fork.ids()[0], table.ids()[0]) << "what stays as it is stays shared";
  EXPECT_NE(fork.ids()[1], table.ids()[1]);
  EXPECT_EQ(fork.blocks()[1], pool->data(fork.ids()[1]));
  EXPECT_EQ(std::memcmp(fork.blocks()[1], table.blocks()[1], 4096), 0);
  EXPECT_EQ(pool->references(table.ids()[1]), 1u);
  ASSERT_TRUE(fork.make_writable(40).has_value());
  ASSERT_TRUE(table.make_writable(40).has_value());
  for (int64_t nowhere : {int64_t{64}, int64_t{-1}, std::numeric_limits<int64_t>::max()})
    ASSERT_TRUE(fork.make_writable(nowhere).has_value());
  EXPECT_EQ(pool->in_use(), 4u) << "nothing left to copy";

  table.truncate(0);
  EXPECT_EQ(pool->in_use(), 2u) << "the fork's";
  EXPECT_EQ(fork.blocks()[0][0], std::byte{1});
}

TEST_F(BlockTableTest, ACopyThatDoesNotFitChangesNothing) {
  BlockTable table(*pool);
  ASSERT_TRUE(table.reserve(10 * 32).has_value());
  BlockTable fork(*pool);
  for (int64_t b : {0, 1}) fork.share(b, table.ids()[static_cast<size_t>(b)]);
  auto r = fork.make_writable(33);
  ASSERT_FALSE(r.has_value());
  EXPECT_EQ(r.error().code, Code::kOutOfMemory);
  EXPECT_EQ(fork.ids()[1], table.ids()[1]);
  EXPECT_EQ(pool->references(table.ids()[1]), 2u);
}

TEST_F(BlockTableTest, WhatIsBehindCanGo) {
  BlockTable table(*pool);
  ASSERT_TRUE(table.reserve(4 * 32));
  table.drop_before(63);
  EXPECT_EQ(table.n_dropped(), 1);
  EXPECT_EQ(table.n_held(), 3);
  EXPECT_EQ(table.ids()[0], kNoBlock);
  EXPECT_EQ(table.blocks()[0], nullptr);
  EXPECT_EQ(pool->in_use(), 3u);
  EXPECT_FALSE(table.is_shared(5));
  ASSERT_TRUE(table.reserve(5 * 32));
  EXPECT_EQ(table.ids().size(), 5u);
  BlockTable moved = std::move(table);
  EXPECT_EQ(table.n_dropped(), 0);
  moved.drop_before(1 << 20);
  EXPECT_EQ(pool->in_use(), 0u);
  EXPECT_EQ(moved.capacity_tokens(), 5 * 32);
  moved.truncate(40);
  EXPECT_EQ(moved.n_dropped(), 2);
  moved.begin_at(4);
  EXPECT_EQ(moved.ids().size(), 4u);
  ASSERT_TRUE(moved.reserve(5 * 32));
  EXPECT_EQ(moved.n_held(), 1);
  moved.truncate(0);
  EXPECT_EQ(moved.n_dropped(), 0);
  EXPECT_EQ(pool->in_use(), 0u);
}

}  // namespace
}  // namespace quipu::kv
