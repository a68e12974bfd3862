#include "kv/block_pool.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <utility>
#include <vector>

namespace quipu::kv {
namespace {

using memory::Category;
using memory::Ledger;

constexpr size_t kBlock = 3 * 4096;

std::unique_ptr<BlockPool> make(Ledger& ledger, uint32_t capacity = 100, size_t bytes = kBlock) {
  auto pool = BlockPool::create(bytes, capacity, ledger);
  EXPECT_TRUE(pool.has_value());
  return std::move(*pool);
}

BlockId take(BlockPool& pool) {
  auto id = pool.allocate();
  EXPECT_TRUE(id.has_value());
  return *id;
}

size_t resident_pages(const std::byte* at, size_t bytes) {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  std::vector<unsigned char> in(bytes / page);
  EXPECT_EQ(mincore(const_cast<std::byte*>(at), bytes, in.data()), 0);
  return static_cast<size_t>(
      std::count_if(in.begin(), in.end(), [](unsigned char c) { return (c & 1) != 0; }));
}

bool all_zero(const std::byte* at, size_t bytes) {
  return std::all_of(at, at + bytes, [](std::byte b) { return b == std::byte{0}; });
}

TEST(BlockPool, LowNumbersFirst) {
  Ledger ledger;
  auto pool = make(ledger);
  for (BlockId i = 0; i < 10; ++i) EXPECT_EQ(take(*pool), i);
  for (BlockId i : {7u, 2u, 5u}) pool->release(i);
  EXPECT_EQ(take(*pool), 2u);
  EXPECT_EQ(take(*pool), 5u);
  pool->release(0);
  EXPECT_EQ(take(*pool), 0u);
  EXPECT_EQ(take(*pool), 7u);
  EXPECT_EQ(take(*pool), 10u);
  EXPECT_EQ(pool->in_use(), 11u);
}

TEST(BlockPool, ReferencesKeepABlock) {
  Ledger ledger;
  auto pool = make(ledger);
  const BlockId id = take(*pool);
  EXPECT_EQ(pool->references(id), 1u);
  pool->retain(id);
  EXPECT_EQ(pool->references(id), 2u);
  pool->release(id);
  EXPECT_EQ(pool->references(id), 1u);
  EXPECT_EQ(pool->in_use(), 1u);
  EXPECT_NE(take(*pool), id);
  pool->release(id);
  EXPECT_EQ(pool->references(id), 0u);
  EXPECT_EQ(pool->in_use(), 1u);
  EXPECT_EQ(take(*pool), id);
  EXPECT_EQ(pool->references(12345), 0u);
}

TEST(BlockPool, ReusedBlocksAreZero) {
  Ledger ledger;
  auto pool = make(ledger);
  for (bool trim : {false, true}) {
    const BlockId id = take(*pool);
    EXPECT_TRUE(all_zero(pool->data(id), kBlock));
    std::memset(pool->data(id), 0xAB, kBlock);
    pool->release(id);
    if (trim) pool->trim();
    const BlockId again = take(*pool);
    ASSERT_EQ(again, id);
    EXPECT_TRUE(all_zero(pool->data(id), kBlock));
    pool->release(id);
  }
}

TEST(BlockPool, PagesComeWithBlocksAndGoWithTrim) {
  Ledger ledger;
  auto pool = make(ledger);
  std::vector<BlockId> ids;
  for (int i = 0; i < 20; ++i) ids.push_back(take(*pool));
  const std::byte* base = pool->data(0);
  EXPECT_EQ(resident_pages(base, 20 * kBlock), 60u);  // touched without a write of ours
  EXPECT_EQ(resident_pages(base + 20 * kBlock, 80 * kBlock), 0u);
  for (BlockId id : {3u, 4u, 5u, 11u, 19u}) pool->release(id);
  EXPECT_EQ(resident_pages(base, 20 * kBlock), 60u);
  EXPECT_EQ(pool->committed(), 20u);
  EXPECT_EQ(pool->in_use(), 15u);
  EXPECT_EQ(pool->trim(), 5 * kBlock);
  EXPECT_EQ(resident_pages(base, 20 * kBlock), 45u);
  EXPECT_EQ(resident_pages(pool->data(3), 3 * kBlock), 0u);
  EXPECT_EQ(resident_pages(pool->data(6), 5 * kBlock), 15u);
  EXPECT_EQ(pool->committed(), 15u);
  EXPECT_EQ(pool->trim(), 0u);
  EXPECT_EQ(take(*pool), 3u);
  EXPECT_EQ(resident_pages(pool->data(3), kBlock), 3u);
  EXPECT_EQ(pool->committed(), 16u);
}

TEST(BlockPool, TrimKeepsWhatIsInUse) {
  Ledger ledger;
  auto pool = make(ledger);
  const BlockId a = take(*pool), b = take(*pool), c = take(*pool);
  std::memset(pool->data(a), 1, kBlock);
  std::memset(pool->data(c), 3, kBlock);
  pool->release(b);
  EXPECT_EQ(pool->trim(), kBlock);
  EXPECT_EQ(pool->data(a)[kBlock - 1], std::byte{1});
  EXPECT_EQ(pool->data(c)[0], std::byte{3});
}

TEST(BlockPool, LedgerFollowsTheCommittedBytes) {
  Ledger ledger;
  ledger.add(Category::kKv, 1000);
  {
    auto pool = make(ledger);
    EXPECT_EQ(ledger.bytes(Category::kKv), 1000u);  // addresses cost nothing
    std::mt19937 random(1);
    std::vector<BlockId> ids;
    for (int i = 0; i < 2000; ++i) {
      const unsigned what = random() % 10;
      if (what < 5 && ids.size() < 100) {
        ids.push_back(take(*pool));
      } else if (what < 9 && !ids.empty()) {
        std::swap(ids[random() % ids.size()], ids.back());
        pool->release(ids.back());
        ids.pop_back();
      } else {
        pool->trim();
        ASSERT_EQ(pool->committed(), ids.size());
      }
      ASSERT_EQ(pool->in_use(), ids.size());
      ASSERT_GE(pool->committed(), pool->in_use());
      ASSERT_EQ(ledger.bytes(Category::kKv), 1000 + pool->committed() * kBlock);
    }
    EXPECT_EQ(resident_pages(pool->data(0), 100 * kBlock), pool->committed() * (kBlock / 4096));
  }
  EXPECT_EQ(ledger.bytes(Category::kKv), 1000u);
  EXPECT_EQ(ledger.total(), 1000u);
}

TEST(BlockPool, FullPoolIsAnError) {
  Ledger ledger;
  auto pool = make(ledger, 3);
  for (int i = 0; i < 3; ++i) take(*pool);
  auto id = pool->allocate();
  ASSERT_FALSE(id.has_value());
  EXPECT_EQ(id.error().code, Code::kOutOfMemory);
  pool->release(1);
  EXPECT_EQ(take(*pool), 1u);
}

TEST(BlockPool, BlocksThatAreNoWholePages) {
  Ledger ledger;
  auto pool = make(ledger, 10, 6144);
  const BlockId a = take(*pool), b = take(*pool);
  EXPECT_EQ(pool->block_bytes(), 6144u);
  EXPECT_GE(pool->data(b) - pool->data(a), 6144);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(pool->data(b)) % 64, 0u);
  std::memset(pool->data(b), 1, 6144);
  pool->release(a);
  pool->trim();
  EXPECT_EQ(pool->data(b)[0], std::byte{1});
  EXPECT_EQ(ledger.bytes(Category::kKv), 8192u);
}

TEST(BlockPool, HostileSizes) {
  Ledger ledger;
  constexpr size_t kMax = std::numeric_limits<size_t>::max();
  const std::pair<size_t, uint32_t> sizes[] = {{0, 10},
                                               {4096, 0},
                                               {kMax, 1},
                                               {kMax - 4095, 2},
                                               {kMax / 2, 3},
                                               {size_t{1} << 40, 0xffffffffu},
                                               {size_t{1} << 62, 1}};
  for (const auto& [bytes, capacity] : sizes) {
    auto pool = BlockPool::create(bytes, capacity, ledger);
    ASSERT_FALSE(pool.has_value()) << bytes << " " << capacity;
    EXPECT_FALSE(pool.error().message.empty());
  }
  EXPECT_EQ(ledger.total(), 0u);
}

TEST(BlockPool, ReservingIsNotCommitting) {
  Ledger ledger;
  auto pool = make(ledger, 1 << 20, 1 << 20);  // a tebibyte of addresses
  take(*pool);
  EXPECT_EQ(ledger.total(), size_t{1} << 20);
}

// Whoever counts on free blocks that are committed gets those, not others that lie lower.
TEST(BlockPool, TakesCommittedBlocksFirst) {
  memory::Ledger ledger;
  auto pool = std::move(*BlockPool::create(4096, 100, ledger));
  std::vector<BlockId> ids;
  for (int i = 0; i < 10; ++i) ids.push_back(*pool->allocate());
  for (int i = 0; i < 5; ++i) pool->release(ids[static_cast<size_t>(i)]);
  pool->trim();
  EXPECT_EQ(pool->committed(), 5u);
  pool->release(ids[8]);
  pool->release(ids[6]);
  EXPECT_EQ(*pool->allocate(), ids[6]);
  EXPECT_EQ(*pool->allocate(), ids[8]);
  EXPECT_EQ(pool->committed(), 5u);
  EXPECT_EQ(*pool->allocate(), ids[0]);
  EXPECT_EQ(pool->committed(), 6u);
}

}  // namespace
}  // namespace quipu::kv
