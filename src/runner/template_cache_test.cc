#include "runner/template_cache.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace quipu::runner {
namespace {

TemplateText jinja(const std::string& text) { return {TemplateKind::kJinja, text}; }

TEST(TemplateCache, TheSameTextIsParsedOnce) {
  TemplateCache cache(nullptr);
  const auto a = *cache.get(jinja("{{ messages }}")), b = *cache.get(jinja("{{ messages }}"));
  EXPECT_EQ(a, b);
  EXPECT_NE(a, *cache.get(jinja("{{ messages}}")));
  EXPECT_EQ(a, *cache.get(jinja("{{ messages }}")));
}

TEST(TemplateCache, IsBounded) {
  TemplateCache cache(nullptr);
  const auto first = *cache.get(jinja("first"));
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(cache.get(jinja(std::to_string(i))));
    EXPECT_EQ(*cache.get(jinja("first")), first) << "used again and again";
  }
  for (int i = 0; i < 16; ++i) EXPECT_TRUE(cache.get(jinja(std::to_string(i))));
  EXPECT_EQ(first.use_count(), 1) << "gone from the cache";
  const auto large = *cache.get(jinja(std::string(100'000, 'x')));
  EXPECT_EQ(large.use_count(), 1) << "never in it";
}

TEST(TemplateCache, ErrorsAreNotKept) {
  TemplateCache cache(nullptr);
  EXPECT_FALSE(cache.get(jinja("{% if %}")));
  EXPECT_FALSE(cache.get(jinja("{% if %}")));
  EXPECT_TRUE(cache.get(jinja(""))) << "ChatML";
}

TEST(TemplateCache, FromSeveralThreads) {
  TemplateCache cache(nullptr);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) EXPECT_TRUE(cache.get(jinja(std::to_string(i % 20))));
    });
  for (std::thread& t : threads) t.join();
}

}  // namespace
}  // namespace quipu::runner
