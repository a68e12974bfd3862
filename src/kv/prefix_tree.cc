#include "kv/prefix_tree.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <functional>
#include <map>
#include <set>
#include <utility>

#include "kernels/attention.h"

namespace quipu::kv {

namespace {

constexpr int64_t kTokens = kernels::kBlockTokens;

using Tokens = std::span<const int32_t>;

int64_t common(Tokens a, Tokens b) {
  return std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin();
}

}  // namespace

// The tokens of a node and where it hangs. One map holds the nodes of the whole tree, those of a place next
// to each other in the order of their tokens: those that have the most in common with a text are the
// neighbours of where it would stand.
struct PrefixTree::Place {
  struct Key {
    const Place* parent;  // null: the beginning
    Tokens tokens;        // of a node: its own
  };
  std::array<int32_t, kTokens> tokens;
  uint8_t n_tokens;
  Place* parent;
  BlockId block;
  uint32_t n_children = 0;
  uint32_t n_paths = 0;
  Clock::time_point last_used{};

  Tokens text() const { return Tokens(tokens).first(n_tokens); }
};

struct PrefixTree::Impl {
  struct ByText {
    using is_transparent = void;
    static bool less(const Place::Key& a, const Place::Key& b) {
      if (a.parent != b.parent) return std::less<>()(a.parent, b.parent);
      return std::lexicographical_compare(a.tokens.begin(), a.tokens.end(), b.tokens.begin(), b.tokens.end());
    }
    static Place::Key key(const std::unique_ptr<Place>& p) { return {p->parent, p->text()}; }
    static Place::Key key(const Place::Key& k) { return k; }
    template <class A, class B>
    bool operator()(const A& a, const B& b) const {
      return less(key(a), key(b));
    }
  };
  struct ByAge {
    bool operator()(const Place* a, const Place* b) const {
      return a->last_used != b->last_used ? a->last_used < b->last_used : std::less<>()(a, b);
    }
  };
  using Nodes = std::set<std::unique_ptr<Place>, ByText>;

  BlockPool& pool;
  Nodes nodes;
  std::set<Place*, ByAge> leaves;  // those that could go: on no path, and nothing hangs from them
  int64_t n_unused = 0;
  uint64_t n_evicted = 0;

  void enter(Place& p) {
    if (p.n_paths++ > 0) return;
    --n_unused;
    if (p.n_children == 0) leaves.erase(&p);
  }
  void leave(Place& p, Clock::time_point now) {
    assert(p.n_paths > 0);
    if (--p.n_paths > 0) return;
    p.last_used = now;
    ++n_unused;
    if (p.n_children == 0) leaves.insert(&p);
  }

  void touch(Place& p, Clock::time_point now) {
    if (p.n_paths > 0 || p.last_used >= now) return;  // whoever is there will
    leaves.erase(&p);
    p.last_used = now;
    if (p.n_children == 0) leaves.insert(&p);
  }

  void drop(Place& p) {
    assert(p.n_paths == 0 && p.n_children == 0);
    leaves.erase(&p);
    --n_unused;
    pool.release(p.block);
    if (Place* parent = p.parent; parent != nullptr && --parent->n_children == 0 && parent->n_paths == 0)
      leaves.insert(parent);
    nodes.erase(nodes.find(Place::Key{p.parent, p.text()}));
  }

  Place* find(const Place* parent, Tokens tokens) const {
    const auto at = nodes.find(Place::Key{parent, tokens});
    return at == nodes.end() ? nullptr : at->get();
  }

  // The node of that place that has the longest beginning in common with the tokens.
  std::pair<Place*, int64_t> nearest(const Place* parent, Tokens tokens) const {
    const auto after = nodes.lower_bound(Place::Key{parent, tokens});
    std::pair<Place*, int64_t> best{nullptr, 0};
    const auto look_at = [&](Place* p) {
      if (p->parent != parent) return;
      if (const int64_t n = common(p->text(), tokens); n > best.second) best = {p, n};
    };
    if (after != nodes.end()) look_at(after->get());
    if (after != nodes.begin()) look_at(std::prev(after)->get());
    return best;
  }

  // The node with these tokens, or one that begins with them; made of the block if there is none.
  Place* put(Place* parent, Tokens tokens, BlockId block) {
    const auto after = nodes.lower_bound(Place::Key{parent, tokens});
    if (after != nodes.end() && (*after)->parent == parent &&
        common((*after)->text(), tokens) == static_cast<int64_t>(tokens.size()))
      return after->get();
    auto made = std::make_unique<Place>();
    std::copy(tokens.begin(), tokens.end(), made->tokens.begin());
    made->n_tokens = static_cast<uint8_t>(tokens.size());
    made->parent = parent;
    made->block = block;
    Place* p = made.get();
    pool.retain(block);
    // What it begins with stands right before it.
    Place* shorter = nullptr;
    if (after != nodes.begin()) {
      Place* before = std::prev(after)->get();
      if (before->parent == parent && common(before->text(), tokens) == before->n_tokens) shorter = before;
    }
    nodes.insert(after, std::move(made));
    if (parent != nullptr && parent->n_children++ == 0) leaves.erase(parent);
    leaves.insert(p);
    ++n_unused;
    if (shorter != nullptr) drop(*shorter);
    return p;
  }
};

// ---- paths

PrefixTree::Path::Path(Path&& other) noexcept
    : tree_(std::exchange(other.tree_, nullptr)),
      place_(std::exchange(other.place_, nullptr)),
      n_blocks_(std::exchange(other.n_blocks_, 0)) {}

PrefixTree::Path& PrefixTree::Path::operator=(Path&& other) noexcept {
  if (this == &other) return *this;
  back_to(0);
  tree_ = std::exchange(other.tree_, nullptr);
  place_ = std::exchange(other.place_, nullptr);
  n_blocks_ = std::exchange(other.n_blocks_, 0);
  return *this;
}

void PrefixTree::Path::back_to(int64_t n_blocks, Clock::time_point now) {
  for (; n_blocks_ > std::max<int64_t>(n_blocks, 0); --n_blocks_) {
    Place* left = place_;
    place_ = left->parent;
    tree_->leave(*left, now);
  }
}

// ---- the tree

PrefixTree::PrefixTree(BlockPool& pool) : impl_(new Impl{pool, {}, {}, 0, 0}) {}

PrefixTree::~PrefixTree() {
  for (const auto& node : impl_->nodes) impl_->pool.release(node->block);
}

int64_t PrefixTree::adopt(Text text, int64_t most) {
  Path& path = text.path;
  most = std::min(most, static_cast<int64_t>(text.tokens.size()));
  int64_t n = text.n_stored;
  const auto at = [&](int64_t begin, int64_t count) {
    return text.tokens.subspan(static_cast<size_t>(begin), static_cast<size_t>(count));
  };
  for (int64_t begin = path.n_blocks_ * kTokens; begin + kTokens <= most; begin += kTokens) {
    Place* next = impl_->find(path.place_, at(begin, kTokens));
    if (next == nullptr) break;
    text.table.share(path.n_blocks_, next->block);
    impl_->enter(*next);
    path.place_ = next;
    ++path.n_blocks_;
    n = std::max(n, begin + kTokens);
  }
  const int64_t begin = path.n_blocks_ * kTokens;
  if (begin >= most) return n;
  const auto [next, in_common] = impl_->nearest(path.place_, at(begin, std::min(most - begin, kTokens)));
  if (begin + in_common > n) {
    text.table.share(path.n_blocks_, next->block);
    n = begin + in_common;
  }
  return n;
}

void PrefixTree::publish(Text text) {
  Path& path = text.path;
  for (int64_t begin = path.n_blocks_ * kTokens; begin + kTokens <= text.n_stored; begin += kTokens) {
    const auto own = text.table.ids()[static_cast<size_t>(path.n_blocks_)];
    Place* next = impl_->put(
        path.place_, text.tokens.subspan(static_cast<size_t>(begin), static_cast<size_t>(kTokens)), own);
    impl_->enter(*next);
    if (next->block != own) text.table.share(path.n_blocks_, next->block);
    path.place_ = next;
    ++path.n_blocks_;
  }
}

void PrefixTree::publish_all(Text text, Clock::time_point now) {
  publish(text);
  const int64_t n_full = text.path.n_blocks_, begin = n_full * kTokens;
  if (begin >= text.n_stored) return;
  Place* last =
      impl_->put(text.path.place_,
                 text.tokens.subspan(static_cast<size_t>(begin), static_cast<size_t>(text.n_stored - begin)),
                 text.table.ids()[static_cast<size_t>(n_full)]);
  impl_->touch(*last, now);
}

int64_t PrefixTree::n_nodes() const { return static_cast<int64_t>(impl_->nodes.size()); }
int64_t PrefixTree::n_unused() const { return impl_->n_unused; }
uint64_t PrefixTree::n_evicted() const { return impl_->n_evicted; }

bool PrefixTree::evict_oldest() {
  if (impl_->leaves.empty()) return false;
  impl_->drop(**impl_->leaves.begin());
  ++impl_->n_evicted;
  return true;
}

std::optional<PrefixTree::Clock::time_point> PrefixTree::oldest_use() const {
  if (impl_->leaves.empty()) return std::nullopt;
  return (*impl_->leaves.begin())->last_used;
}

}  // namespace quipu::kv
