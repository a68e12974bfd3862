#include "memory/ledger.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <thread>
#include <vector>

namespace quipu::memory {
namespace {

TEST(Ledger, CountsByCategory) {
  Ledger l;
  l.add(Category::kKv, 100);
  l.add(Category::kOutput, 7);
  l.add(Category::kKv, 50);
  l.subtract(Category::kKv, 30);
  EXPECT_EQ(l.bytes(Category::kKv), 120u);
  EXPECT_EQ(l.bytes(Category::kOutput), 7u);
  EXPECT_EQ(l.bytes(Category::kWeights), 0u);
  EXPECT_EQ(l.total(), 127u);
}

TEST(Ledger, FromSeveralThreads) {
  Ledger l;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 10'000; ++i) {
        l.add(Category::kWorkspace, 5);
        l.subtract(Category::kWorkspace, 3);
      }
    });
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(l.total(), 4u * 10'000 * 2);
}

TEST(Ledger, EveryCategoryHasAName) {
  std::set<std::string> names;
  for (int c = 0; c < kCategories; ++c) names.insert(category_name(static_cast<Category>(c)));
  EXPECT_EQ(names, (std::set<std::string>{"weights", "projector", "kv", "workspace", "output", "runtime"}));
}

}  // namespace
}  // namespace quipu::memory
