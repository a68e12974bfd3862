// The prefix tree where a group of layers has a window.
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <vector>

#include "kv/prefix_tree.h"

namespace quipu::kv {
namespace {

using Tokens = std::vector<int32_t>;
using Clock = PrefixTree::Clock;

Clock::time_point at(int seconds) { return Clock::time_point(std::chrono::seconds(seconds)); }

// What is "computed" for position n - 1.
uint64_t hash_of(const Tokens& t, int64_t n) {
  uint64_t h = 1469598103934665603u;
  for (int64_t i = 0; i < n; ++i) h = (h ^ static_cast<uint64_t>(t[static_cast<size_t>(i)])) * 1099511628211u;
  return h;
}

Tokens some(size_t n, int32_t seed) {
  Tokens t(n);
  for (size_t i = 0; i < n; ++i) t[i] = seed * 1000 + static_cast<int32_t>(i);
  return t;
}

Tokens joined(Tokens a, const Tokens& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// Two groups, one of which looks back `window` tokens; or that one alone.
struct Windowed {
  Windowed(std::vector<BlockPool*> its_pools, PrefixTree& tree, int64_t its_window)
      : pools(std::move(its_pools)), window(its_window), path(tree) {
    for (BlockPool* p : pools) tables.emplace_back(*p);
  }
  PrefixTree::Text text() { return {tokens, n_stored, tables, path, points}; }
  void write(size_t g, int64_t i, uint64_t h) {
    std::memcpy(pools[g]->data(tables[g].ids()[static_cast<size_t>(i / 32)]) + (i % 32) * 8, &h, 8);
  }
  // A chunk, as an engine computes it: its first row sees its window.
  void compute(PrefixTree& tree, int64_t n) {
    check();
    for (BlockTable& t : tables) ASSERT_TRUE(t.make_writable(n_stored) && t.reserve(n_stored + n));
    for (const int64_t end = n_stored + n; n_stored < end; ++n_stored)
      for (size_t g = 0; g < tables.size(); ++g) write(g, n_stored, hash_of(tokens, n_stored + 1));
    tree.publish(text());
    const int64_t begin = n_stored / 32 * 32 - window;
    if (begin <= 0) return;
    path.look_back_to(begin);
    tables.back().drop_before(begin);
  }
  // What the next token sees.
  void check() {
    for (size_t g = 0; g < tables.size(); ++g)
      for (int64_t i = g + 1 == tables.size() ? std::max<int64_t>(0, n_stored + 1 - window) : 0; i < n_stored;
           ++i) {
        const BlockId id = tables[g].ids()[static_cast<size_t>(i / 32)];
        ASSERT_NE(id, kNoBlock) << "group " << g << ", position " << i << " of " << n_stored;
        uint64_t h;
        std::memcpy(&h, pools[g]->data(id) + (i % 32) * 8, 8);
        ASSERT_EQ(h, hash_of(tokens, i + 1)) << "group " << g << ", position " << i;
      }
  }
  void end(PrefixTree& tree, int now) {
    tree.publish_all(text(), at(now));
    path.back_to(0, at(now));
    for (BlockTable& t : tables) t.truncate(0);
    n_stored = 0;
  }

  std::vector<BlockPool*> pools;
  int64_t window;
  Tokens tokens;
  int64_t n_stored = 0;
  std::vector<BlockTable> tables;
  PrefixTree::Path path;
  std::vector<int64_t> points;
};

class PrefixTreeWindows : public testing::Test {
 protected:
  memory::Ledger ledger;
  std::unique_ptr<BlockPool> pool = std::move(*BlockPool::create(4096, 4000, ledger));
};

TEST_F(PrefixTreeWindows, WindowsAreKeptAtPoints) {
  auto other = std::move(*BlockPool::create(4096, 4000, ledger));
  for (const int64_t window : {1, 31, 32, 33, 50, 64, 100}) {
    PrefixTree two({{pool.get(), 0}, {other.get(), window}});
    const auto make = [&](const Tokens& t) {
      auto s = std::make_unique<Windowed>(std::vector{pool.get(), other.get()}, two, window);
      s->tokens = t;
      return s;
    };
    const Tokens t = some(1000, 1);
    auto a = make(t);
    a->points = {210, 777};
    a->compute(two, 500);
    a->compute(two, 400);
    auto b = make(t);  // catches up with one that goes on
    b->n_stored = two.adopt(b->text(), 5000);
    EXPECT_EQ(b->n_stored, 896);
    b->check();
    a->compute(two, 100);
    b->end(two, 1);
    a->end(two, 1);
    const auto most = static_cast<uint32_t>(4 * ((window + 30) / 32 + 2));
    EXPECT_LE(other->in_use(), most);
    EXPECT_EQ(static_cast<int64_t>(other->in_use()), two.n_unused(1));
    const auto resumes = [&](int64_t n_common, int64_t n) {
      auto c = make(joined(Tokens(t.begin(), t.begin() + n_common), some(300, 2)));
      EXPECT_EQ(two.adopt(c->text(), 5000), n) << "window " << window << ", " << n_common << " in common";
    };
    resumes(1000, 1000);
    resumes(210, 210);
    resumes(777, 777);
    resumes(600, window == 1 ? 576 : 224);
    // Without their windows the nodes are of no use to who would go on from them.
    while (two.n_unused(1) > 0) ASSERT_TRUE(two.evict_oldest());
    while (two.evict_oldest()) {
    }
    EXPECT_EQ(other->in_use(), 0u);
    EXPECT_EQ(pool->in_use(), 0u);
  }
}

TEST_F(PrefixTreeWindows, RandomWithWindows) {
  auto other = std::move(*BlockPool::create(4096, 4000, ledger));
  for (const int64_t window : {1, 20, 32, 33, 70})
    for (const bool alone : {false, true}) {
      std::mt19937 random(static_cast<uint32_t>(window));
      const auto below = [&](size_t n) { return static_cast<int64_t>(random() % n); };
      const auto word = [&](size_t n) {
        Tokens t(n);
        for (int32_t& x : t) x = static_cast<int32_t>(below(60) == 0 ? below(3) : 0);
        return t;
      };
      std::vector<PrefixTree::Group> groups = {{pool.get(), 0}, {other.get(), window}};
      std::vector<BlockPool*> pools = {pool.get(), other.get()};
      if (alone) groups.erase(groups.begin()), pools.erase(pools.begin());
      PrefixTree two(groups);
      std::vector<std::unique_ptr<Windowed>> running;
      std::vector<Tokens> texts;
      int64_t found = 0;
      for (int step = 0; step < 3000; ++step) {
        const int64_t what = below(10);
        if (what < 2 && running.size() < 5) {
          auto s = std::make_unique<Windowed>(pools, two, window);
          if (!texts.empty()) s->tokens = texts[static_cast<size_t>(below(texts.size()))];
          if (below(3) == 0) s->tokens.resize(static_cast<size_t>(below(s->tokens.size() + 1)));
          if (s->tokens.size() > 500) s->tokens.resize(100);
          s->points = {static_cast<int64_t>(s->tokens.size())};
          s->tokens = joined(s->tokens, word(static_cast<size_t>(1 + below(100))));
          running.push_back(std::move(s));
        }
        if (running.empty()) continue;
        const auto which = running.begin() + below(running.size());
        Windowed& s = **which;
        const auto size = static_cast<int64_t>(s.tokens.size());
        if (what < 5) {
          const int64_t before = s.n_stored;
          s.n_stored = two.adopt(s.text(), size - below(2));
          ASSERT_GE(s.n_stored, before);
          found += s.n_stored - before;
          s.check();
        } else if (what < 8) {
          s.compute(two, std::min(size - s.n_stored, below(80)));
          s.check();
        } else if (what == 8) {
          texts.push_back(Tokens(s.tokens.begin(), s.tokens.begin() + s.n_stored));
          s.end(two, step);
          if (below(2) == 0) running.erase(which);
        } else if (step > 1000 && below(3) == 0) {
          for (int64_t n = below(20); n > 0 && two.evict_oldest(); --n) {
          }
        }
        if (HasFatalFailure()) return;
      }
      EXPECT_GT(found, 5000) << "window " << window;
      running.clear();
      EXPECT_EQ(static_cast<int64_t>(other->in_use()), two.n_unused(alone ? 0 : 1));
      while (two.evict_oldest()) {
      }
      EXPECT_EQ(two.n_nodes(), 0);
      EXPECT_EQ(other->in_use() + pool->in_use(), 0u);
    }
}

}  // namespace
}  // namespace quipu::kv
