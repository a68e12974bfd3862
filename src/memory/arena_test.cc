#include "memory/arena.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <vector>

namespace quipu::memory {
namespace {

TEST(Arena, IsOnTheLedgerForAsLongAsItLives) {
  Ledger ledger;
  {
    auto a = Arena::create(100'000, Category::kWorkspace, ledger);
    ASSERT_TRUE(a.has_value());
    EXPECT_EQ(ledger.bytes(Category::kWorkspace), a->size());
    EXPECT_GE(a->size(), 100'000u);
    Arena moved = std::move(*a);
    EXPECT_EQ(ledger.total(), moved.size());
  }
  EXPECT_EQ(ledger.total(), 0u);
}

TEST(Arena, PiecesAreAlignedAndDoNotOverlap) {
  Ledger ledger;
  auto a = Arena::create(4096, Category::kOutput, ledger);
  ASSERT_TRUE(a.has_value());
  std::byte* first = a->take(1);
  std::byte* second = a->take(65);
  std::byte* third = a->take(64);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(first) % kArenaAlignment, 0u);
  EXPECT_EQ(second - first, 64);
  EXPECT_EQ(third - second, 128);
}

TEST(Arena, NeverGivesMoreThanItHas) {
  Ledger ledger;
  auto a = Arena::create(4096, Category::kOutput, ledger);
  ASSERT_TRUE(a.has_value());
  EXPECT_EQ(a->take(SIZE_MAX), nullptr);
  EXPECT_NE(a->take(4096), nullptr);
  EXPECT_EQ(a->take(1), nullptr);
}

TEST(Arena, EveryPageIsResidentFromTheStart) {
  Ledger ledger;
  auto a = Arena::create(1 << 20, Category::kWorkspace, ledger);
  ASSERT_TRUE(a.has_value());
  std::vector<unsigned char> resident(a->size() / 4096);
  ASSERT_EQ(mincore(a->take(1), a->size(), resident.data()), 0);
  for (unsigned char r : resident) EXPECT_EQ(r & 1, 1);
}

TEST(Arena, AnImpossibleSizeIsAnError) {
  Ledger ledger;
  for (size_t bytes : {SIZE_MAX, SIZE_MAX - 4096, size_t{1} << 62}) {
    const auto a = Arena::create(bytes, Category::kWorkspace, ledger);
    ASSERT_FALSE(a.has_value());
    EXPECT_EQ(a.error().code, Code::kOutOfMemory);
  }
  EXPECT_EQ(ledger.total(), 0u);
}

}  // namespace
}  // namespace quipu::memory
