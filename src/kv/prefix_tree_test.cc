#include "kv/prefix_tree.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <random>
#include <set>
#include <vector>

namespace quipu::kv {
namespace {

using Tokens = std::vector<int32_t>;
using Clock = PrefixTree::Clock;

Clock::time_point at(int seconds) { return Clock::time_point(std::chrono::seconds(seconds)); }

// A sequence as an engine has it. What it "computes" for position i is a hash of the tokens up to i, so that
// a block that is not the right one shows.
struct Sequence {
  Sequence(BlockPool& its_pool, PrefixTree& tree) : pool(its_pool), table(its_pool), path(tree) {}

  PrefixTree::Text text() { return {tokens, n_stored, {&table, 1}, path}; }

  static uint64_t hash(const Tokens& t, int64_t n) {
    uint64_t h = 1469598103934665603u;
    for (int64_t i = 0; i < n; ++i)
      h = (h ^ static_cast<uint64_t>(t[static_cast<size_t>(i)])) * 1099511628211u;
    return h;
  }
  void compute(int64_t until) {
    while (n_stored < until) {
      ASSERT_TRUE(table.make_writable(n_stored));
      ASSERT_TRUE(table.reserve(n_stored + 1));
      std::byte* block = pool.data(table.ids()[static_cast<size_t>(n_stored / 32)]);
      const uint64_t h = hash(tokens, n_stored + 1);
      std::memcpy(block + (n_stored % 32) * 8, &h, 8);
      ++n_stored;
    }
  }
  void check() {
    for (int64_t i = 0; i < n_stored; ++i) {
      uint64_t h;
      std::memcpy(&h, pool.data(table.ids()[static_cast<size_t>(i / 32)]) + (i % 32) * 8, 8);
      ASSERT_EQ(h, hash(tokens, i + 1)) << "position " << i;
    }
  }
  void keep_first(int64_t n, int now = 0) {
    n_stored = std::min(n_stored, n);
    table.truncate(n_stored);
    path.back_to(n_stored / 32, at(now));
  }

  BlockPool& pool;
  Tokens tokens;
  int64_t n_stored = 0;
  BlockTable table;
  PrefixTree::Path path;
};

class PrefixTreeTest : public testing::Test {
 protected:
  Tokens some(size_t n, int32_t seed) {
    Tokens t(n);
    for (size_t i = 0; i < n; ++i) t[i] = seed * 1000 + static_cast<int32_t>(i);
    return t;
  }
  static Tokens joined(Tokens a, const Tokens& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
  }
  // Computes the text, what is there left out; returns how much was.
  int64_t say(const Tokens& tokens, int now = 0, int64_t most = 1 << 20) {
    Sequence s(*pool, tree);
    s.tokens = tokens;
    s.n_stored = tree.adopt(s.text(), most);
    const int64_t found = s.n_stored;
    s.check();
    s.compute(static_cast<int64_t>(tokens.size()));
    s.check();
    tree.publish_all(s.text(), at(now));
    s.keep_first(0, now);
    return found;
  }

  memory::Ledger ledger;
  std::unique_ptr<BlockPool> pool = std::move(*BlockPool::create(4096, 4000, ledger));
  PrefixTree tree{{{pool.get(), 0}}};
};

TEST_F(PrefixTreeTest, FindsWhatIsThere) {
  const Tokens t = some(100, 1);
  EXPECT_EQ(say(t), 0);
  EXPECT_EQ(tree.n_nodes(), 4);
  EXPECT_EQ(pool->in_use(), 4u);
  EXPECT_EQ(say(t), 100);
  EXPECT_EQ(say(t, 0, 99), 99);
  EXPECT_EQ(tree.n_nodes(), 4) << "nothing new";
  EXPECT_EQ(say(joined(t, some(50, 2))), 100);
  EXPECT_EQ(tree.n_nodes(), 5) << "150 tokens; what they begin with stands for itself no more";
  EXPECT_EQ(say(some(100, 3)), 0);
  EXPECT_EQ(say(Tokens(t.begin(), t.begin() + 70)), 70);
  EXPECT_EQ(tree.n_nodes(), 9);
  EXPECT_EQ(pool->in_use(), 9u);
  Tokens other = t;
  other[80] = -1;
  EXPECT_EQ(say(other), 80);
  EXPECT_EQ(say(other), 100);
  EXPECT_EQ(say({}), 0);
}

TEST_F(PrefixTreeTest, TwoThatComputeTheSameHoldItOnce) {
  Sequence a(*pool, tree), b(*pool, tree);
  a.tokens = b.tokens = some(70, 1);
  for (int64_t n : {20, 40, 64, 70})
    for (Sequence* s : {&a, &b}) {
      s->compute(n);
      tree.publish(s->text());
      s->check();
    }
  EXPECT_EQ(tree.n_nodes(), 2);
  EXPECT_EQ(pool->in_use(), 4u) << "two in common, and each its own last one";
  EXPECT_EQ(a.table.ids()[1], b.table.ids()[1]);
  EXPECT_TRUE(a.path.same_as(b.path));
  EXPECT_EQ(tree.n_unused(), 0);
  EXPECT_FALSE(tree.evict_oldest()) << "all are in use";
  a.keep_first(0);
  EXPECT_EQ(tree.n_unused(), 0);
  b.check();
  b.keep_first(32);
  EXPECT_EQ(tree.n_unused(), 1);
  EXPECT_TRUE(tree.evict_oldest());
  EXPECT_FALSE(tree.evict_oldest());
  b.check();
}

TEST_F(PrefixTreeTest, OneCatchesUpWithTheOther) {
  Sequence a(*pool, tree), b(*pool, tree);
  a.tokens = some(200, 1);
  b.tokens = joined(some(150, 1), some(9, 2));
  a.compute(90);
  tree.publish(a.text());
  b.n_stored = tree.adopt(b.text(), 1000);
  EXPECT_EQ(b.n_stored, 64);
  b.compute(70);
  a.compute(200);
  tree.publish(a.text());
  b.n_stored = tree.adopt(b.text(), 1000);
  EXPECT_EQ(b.n_stored, 150);
  EXPECT_EQ(b.path.n_blocks(), 4) << "the fifth has 22 tokens of another text";
  b.check();
  b.compute(159);
  b.check();
  a.check();
}

TEST_F(PrefixTreeTest, TheLeastRecentlyUsedGoesFirst) {
  const Tokens system = some(64, 1);
  say(joined(system, some(40, 2)), 10);
  say(joined(system, some(40, 3)), 20);
  say(some(33, 4), 15);
  EXPECT_EQ(tree.oldest_use(), at(10));
  EXPECT_EQ(say(joined(system, some(40, 2)), 30), 104);
  std::vector<Clock::time_point> order;
  while (const auto t = tree.oldest_use()) {
    order.push_back(*t);
    tree.evict_oldest();
  }
  EXPECT_EQ(order,
            (std::vector<Clock::time_point>{at(15), at(15), at(20), at(20), at(30), at(30), at(30), at(30)}));
  EXPECT_EQ(tree.n_evicted(), 8u);
  EXPECT_EQ(pool->in_use(), 0u);
  EXPECT_EQ(tree.n_nodes(), 0);
}

TEST_F(PrefixTreeTest, DeepAndWide) {
  auto large = std::move(*BlockPool::create(4096, 60000, ledger));
  PrefixTree deep({{large.get(), 0}});
  {
    Sequence s(*large, deep);
    s.tokens.assign(32 * 20000, 7);
    ASSERT_TRUE(s.table.reserve(32 * 20000));
    s.n_stored = 32 * 20000;
    deep.publish(s.text());
    EXPECT_EQ(s.path.n_blocks(), 20000);
    for (int32_t i = 0; i < 20000; ++i) {  // as many right at the beginning
      Sequence w(*large, deep);
      w.tokens.assign(32, i + 10);
      ASSERT_TRUE(w.table.reserve(32));
      w.n_stored = 32;
      deep.publish(w.text());
    }
    EXPECT_EQ(deep.n_unused(), 20000);
  }
  EXPECT_EQ(deep.n_nodes(), 40000);
  EXPECT_EQ(deep.n_unused(), 40000);
  for (int i = 0; i < 30000; ++i) ASSERT_TRUE(deep.evict_oldest());
  EXPECT_EQ(deep.n_nodes(), 10000);
  EXPECT_EQ(large->in_use(), 10000u);
}

// Sequences that begin alike, branch, go on, are cut and end, and eviction at any time, against what a map of
// beginnings says is there.
TEST_F(PrefixTreeTest, RandomAgainstAModel) {
  std::mt19937 random(5);
  const auto below = [&](size_t n) { return static_cast<int64_t>(random() % n); };
  // Few tokens, so that texts share beginnings of every length.
  const auto word = [&](size_t n) {
    Tokens t(n);
    for (int32_t& x : t) x = static_cast<int32_t>(below(40) == 0 ? below(3) : 0);
    return t;
  };
  std::vector<std::unique_ptr<Sequence>> running;
  std::vector<Tokens> texts;
  std::set<Tokens> beginnings;  // all that nodes stand for, without eviction
  bool evicts = false;
  const auto note = [&](const Sequence& s, bool all) {
    for (int64_t n = 1; n <= (all ? s.n_stored : s.n_stored / 32 * 32); ++n)
      beginnings.emplace(s.tokens.begin(), s.tokens.begin() + n);
  };
  for (int step = 0; step < 6000; ++step) {
    if (step == 3000) evicts = true;
    const int64_t what = below(10);
    if (what < 2 && running.size() < 6) {
      auto s = std::make_unique<Sequence>(*pool, tree);
      if (!texts.empty()) s->tokens = texts[static_cast<size_t>(below(texts.size()))];
      s->tokens.resize(static_cast<size_t>(below(s->tokens.size() + 1)));
      s->tokens = joined(s->tokens, word(static_cast<size_t>(1 + below(100))));
      running.push_back(std::move(s));
    } else if (running.empty()) {
      continue;
    }
    Sequence& s = *running[static_cast<size_t>(below(running.size()))];
    const auto size = static_cast<int64_t>(s.tokens.size());
    if (what < 4) {
      const int64_t before = s.n_stored, most = below(static_cast<size_t>(size + 1));
      s.n_stored = tree.adopt(s.text(), most);
      int64_t there = before;
      while (there < most && beginnings.contains(Tokens(s.tokens.begin(), s.tokens.begin() + there + 1)))
        ++there;
      if (evicts)
        ASSERT_LE(s.n_stored, std::max(before, there));
      else
        ASSERT_EQ(s.n_stored, std::max(before, there)) << "step " << step;
      s.check();
    } else if (what < 7) {
      s.compute(s.n_stored + below(static_cast<size_t>(size - s.n_stored + 1)));
      tree.publish(s.text());
      note(s, false);
      s.check();
    } else if (what == 7) {
      s.keep_first(below(static_cast<size_t>(s.n_stored + 1)), step);
      s.tokens.resize(static_cast<size_t>(s.n_stored));
      s.tokens = joined(s.tokens, word(static_cast<size_t>(1 + below(50))));
    } else if (what == 8) {
      tree.publish_all(s.text(), at(step));
      note(s, true);
      texts.push_back(s.tokens);
      if (below(2) == 0)
        s.keep_first(0, step);
      else
        running.erase(
            std::find_if(running.begin(), running.end(), [&](const auto& r) { return r.get() == &s; }));
    } else if (evicts && below(3) == 0) {
      for (int64_t n = below(20); n > 0 && tree.evict_oldest(); --n) {
      }
    }
    for (const auto& r : running) ASSERT_EQ(r->path.n_blocks(), r->n_stored / 32) << "step " << step;
    // Every block is held by those who should, and by nobody else.
    if (step % 50 != 0) continue;
    std::set<BlockId> held;
    for (const auto& r : running) held.insert(r->table.ids().begin(), r->table.ids().end());
    ASSERT_LE(pool->in_use(), held.size() + static_cast<size_t>(tree.n_unused()));
    ASSERT_GE(pool->in_use(), static_cast<size_t>(tree.n_nodes()));
  }
  running.clear();
  EXPECT_EQ(tree.n_unused(), tree.n_nodes());
  EXPECT_EQ(pool->in_use(), static_cast<uint32_t>(tree.n_nodes()));
  while (tree.evict_oldest()) {
  }
  EXPECT_EQ(pool->in_use(), 0u);
}

TEST_F(PrefixTreeTest, PathsMove) {
  say(some(64, 1));
  Sequence a(*pool, tree);
  a.tokens = some(64, 1);
  a.n_stored = tree.adopt(a.text(), 64);
  PrefixTree::Path moved = std::move(a.path);
  EXPECT_EQ(tree.n_unused(), 0);
  EXPECT_EQ(moved.n_blocks(), 2);
  PrefixTree::Path other(tree);
  other = std::move(moved);
  EXPECT_EQ(tree.n_unused(), 0);
  other = PrefixTree::Path();
  EXPECT_FALSE(other.in_tree());
  EXPECT_EQ(tree.n_unused(), 2);
}

}  // namespace
}  // namespace quipu::kv
