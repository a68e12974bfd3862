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
  std::array<BlockId, kMaxGroups> blocks;  // of a group with a window often none
  uint32_t n_children = 0;
  uint32_t n_paths = 0;
  uint32_t n_windows = 0;  // paths whose window reaches here
  bool is_point = false;   // its block of the group with a window stays when no window reaches it
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

  const std::vector<Group> groups;
  int whole = -1, windowed = -1;  // which group is which; -1: there is none
  Nodes nodes;
  std::set<Place*, ByAge> leaves;   // those that could go: on no path, and nothing hangs from them
  std::set<Place*, ByAge> windows;  // others whose block of the group with a window could go
  int64_t n_unused = 0, n_unused_windows = 0;
  uint64_t n_evicted = 0;

  explicit Impl(std::vector<Group> its_groups) : groups(std::move(its_groups)) {
    for (size_t g = 0; g < groups.size(); ++g)
      (groups[g].window > 0 ? windowed : whole) = static_cast<int>(g);
  }

  BlockId& window_block(Place& p) const { return p.blocks[static_cast<size_t>(windowed)]; }
  bool has_window(const Place& p) const {
    return windowed >= 0 && p.blocks[static_cast<size_t>(windowed)] != kNoBlock;
  }

  // What changes a node stands between these two: what it counts as, and whether it could go.
  void unlist(Place& p) {
    if (p.n_paths == 0) --n_unused;
    if (has_window(p) && p.n_windows == 0) --n_unused_windows;
    if (p.n_paths == 0 && p.n_children == 0)
      leaves.erase(&p);
    else if (has_window(p) && p.n_windows == 0)
      windows.erase(&p);
  }
  void list(Place& p) {
    if (p.n_paths == 0) ++n_unused;
    if (has_window(p) && p.n_windows == 0) ++n_unused_windows;
    if (p.n_paths == 0 && p.n_children == 0)
      leaves.insert(&p);
    else if (has_window(p) && p.n_windows == 0)
      windows.insert(&p);
  }

  void enter(Place& p, bool in_window) {
    unlist(p);
    ++p.n_paths;
    if (in_window) ++p.n_windows;
    list(p);
  }

  // Not in a path's window any more, and perhaps not on the path.
  void leave(Place& p, bool was_in_window, bool leaves_path, Clock::time_point now) {
    unlist(p);
    if (was_in_window) --p.n_windows;
    if (leaves_path) --p.n_paths;
    p.last_used = std::max(p.last_used, now);
    if (has_window(p) && p.n_windows == 0 && !p.is_point) release_window(p);
    list(p);
    drop_if_empty(&p);
  }

  void release_window(Place& p) {
    groups[static_cast<size_t>(windowed)].pool->release(std::exchange(window_block(p), kNoBlock));
    p.is_point = false;
  }

  void touch(Place& p, Clock::time_point now) {
    unlist(p);
    p.last_used = std::max(p.last_used, now);
    list(p);
  }

  // Of a leaf.
  void drop(Place& p) {
    assert(p.n_paths == 0 && p.n_children == 0);
    unlist(p);
    for (size_t g = 0; g < groups.size(); ++g)
      if (p.blocks[g] != kNoBlock) groups[g].pool->release(p.blocks[g]);
    if (Place* parent = p.parent; parent != nullptr) {
      unlist(*parent);
      --parent->n_children;
      list(*parent);
    }
    nodes.erase(nodes.find(Place::Key{p.parent, p.text()}));
  }

  // Where all layers have windows a node can be left with nothing, and then those it hangs from.
  void drop_if_empty(Place* p) {
    while (whole < 0 && p != nullptr && p->n_paths == 0 && p->n_children == 0 && !has_window(*p)) {
      Place* parent = p->parent;
      drop(*p);
      p = parent;
    }
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

  // The node with these tokens, or one that begins with them; made of the blocks if there is none.
  Place* put(Place* parent, Tokens tokens, const std::array<BlockId, kMaxGroups>& blocks) {
    const auto after = nodes.lower_bound(Place::Key{parent, tokens});
    if (after != nodes.end() && (*after)->parent == parent &&
        common((*after)->text(), tokens) == static_cast<int64_t>(tokens.size()))
      return after->get();
    auto made = std::make_unique<Place>();
    std::copy(tokens.begin(), tokens.end(), made->tokens.begin());
    made->n_tokens = static_cast<uint8_t>(tokens.size());
    made->parent = parent;
    made->blocks = blocks;
    Place* p = made.get();
    for (size_t g = 0; g < groups.size(); ++g)
      if (blocks[g] != kNoBlock) groups[g].pool->retain(blocks[g]);
    // What it begins with stands right before it.
    Place* shorter = nullptr;
    if (after != nodes.begin()) {
      Place* before = std::prev(after)->get();
      if (before->parent == parent && common(before->text(), tokens) == before->n_tokens) shorter = before;
    }
    nodes.insert(after, std::move(made));
    if (parent != nullptr) {
      unlist(*parent);
      ++parent->n_children;
      list(*parent);
    }
    list(*p);
    if (shorter != nullptr) drop(*shorter);
    return p;
  }

  // Its block of the group with a window, where it has none; and whether the block is to stay.
  void give_window(Place& p, BlockId block, bool is_point) {
    if (windowed < 0) return;
    unlist(p);
    if (!has_window(p) && block != kNoBlock) {
      groups[static_cast<size_t>(windowed)].pool->retain(block);
      window_block(p) = block;
    }
    if (has_window(p)) p.is_point |= is_point;
    list(p);
  }

  // The first block that is needed to go on from n tokens.
  int64_t first_needed(int64_t n) const {
    const int64_t position = n - groups[static_cast<size_t>(windowed)].window + 1;
    return std::max<int64_t>(position, 0) / kTokens;
  }

  // Whether the window before one of the points reaches the block.
  bool at_point(std::span<const int64_t> points, int64_t block) const {
    return windowed >= 0 && std::any_of(points.begin(), points.end(), [&](int64_t n) {
             return block * kTokens < n && block >= first_needed(n - 1);
           });
  }
};

// ---- paths

PrefixTree::Path::Path(Path&& other) noexcept
    : tree_(std::exchange(other.tree_, nullptr)),
      places_(std::exchange(other.places_, {})),
      first_in_window_(std::exchange(other.first_in_window_, 0)) {}

PrefixTree::Path& PrefixTree::Path::operator=(Path&& other) noexcept {
  if (this == &other) return *this;
  back_to(0);
  tree_ = std::exchange(other.tree_, nullptr);
  places_ = std::exchange(other.places_, {});
  first_in_window_ = std::exchange(other.first_in_window_, 0);
  return *this;
}

void PrefixTree::Path::back_to(int64_t n_blocks, Clock::time_point now) {
  while (this->n_blocks() > std::max<int64_t>(n_blocks, 0)) {
    Place* left = place();
    places_.pop_back();
    tree_->leave(*left, this->n_blocks() >= first_in_window_, true, now);
  }
  first_in_window_ = std::min(first_in_window_, this->n_blocks());
}

void PrefixTree::Path::look_back_to(int64_t position, Clock::time_point now) {
  const int64_t first = std::min(position / kTokens, n_blocks());
  for (; first_in_window_ < first; ++first_in_window_)
    tree_->leave(*places_[static_cast<size_t>(first_in_window_)], true, false, now);
}

// ---- the tree

PrefixTree::PrefixTree(std::vector<Group> groups) : impl_(new Impl(std::move(groups))) {}

PrefixTree::~PrefixTree() {
  for (const auto& node : impl_->nodes)
    for (size_t g = 0; g < impl_->groups.size(); ++g)
      if (node->blocks[g] != kNoBlock) impl_->groups[g].pool->release(node->blocks[g]);
}

int64_t PrefixTree::adopt(Text text, int64_t most) {
  Path& path = text.path;
  most = std::min(most, static_cast<int64_t>(text.tokens.size()));
  const auto at = [&](int64_t begin, int64_t count) {
    return text.tokens.subspan(static_cast<size_t>(begin), static_cast<size_t>(count));
  };
  // As far as the tokens go: whole blocks, and the beginning of one.
  const int64_t n_before = path.n_blocks();
  std::vector<Place*> found;
  Place* last = path.place();
  int64_t end = n_before * kTokens;
  for (; end + kTokens <= most; end += kTokens) {
    Place* next = impl_->find(last, at(end, kTokens));
    if (next == nullptr) break;
    found.push_back(last = next);
  }
  if (end < most) {
    const auto [next, in_common] = impl_->nearest(last, at(end, std::min(most - end, kTokens)));
    if (in_common > 0) {
      found.push_back(next);
      end += in_common;
    }
  }
  if (end <= text.n_stored) return text.n_stored;

  // As far as the windows are there.
  int64_t n = end, first = 0;
  if (impl_->windowed >= 0) {
    const auto has_window = [&](int64_t k) {
      return impl_->has_window(
          *(k < n_before ? path.places_[static_cast<size_t>(k)] : found[static_cast<size_t>(k - n_before)]));
    };
    n = text.n_stored;
    const int64_t n_all = n_before + static_cast<int64_t>(found.size());
    // From here on all up to k have it.
    int64_t run = impl_->first_needed(n_before * kTokens);
    for (int64_t k = run; k < n_all; ++k) {
      if (!has_window(k)) run = k + 1;
      const int64_t here = std::min((k + 1) * kTokens, end), needed = impl_->first_needed(here);
      if (here <= text.n_stored || run > needed) continue;
      n = here;
      first = std::max(run, std::min(needed, k) - 1);
    }
    if (n == text.n_stored) return n;
    first = std::max(first, path.first_in_window_);
    found.resize(static_cast<size_t>((n - 1) / kTokens + 1 - n_before));
    path.look_back_to(first * kTokens);
    path.first_in_window_ = first;
    text.tables[static_cast<size_t>(impl_->windowed)].begin_at(first);
  }
  for (size_t i = 0; i < found.size(); ++i) {
    Place& p = *found[i];
    const int64_t block = n_before + static_cast<int64_t>(i);
    for (size_t g = 0; g < impl_->groups.size(); ++g)
      if (static_cast<int>(g) != impl_->windowed || block >= first) text.tables[g].share(block, p.blocks[g]);
    if ((block + 1) * kTokens > n) break;  // the last one is not whole
    impl_->enter(p, block >= first);
    impl_->give_window(p, kNoBlock, impl_->at_point(text.points, block));
    path.places_.push_back(&p);
  }
  return n;
}

void PrefixTree::publish(Text text) {
  Path& path = text.path;
  for (int64_t block = path.n_blocks(); (block + 1) * kTokens <= text.n_stored; ++block) {
    const auto own = own_blocks(text, block);
    Place* next = impl_->put(
        path.place(), text.tokens.subspan(static_cast<size_t>(block * kTokens), static_cast<size_t>(kTokens)),
        own);
    impl_->enter(*next, true);
    impl_->give_window(*next, impl_->windowed < 0 ? kNoBlock : own[static_cast<size_t>(impl_->windowed)],
                       impl_->at_point(text.points, block));
    for (size_t g = 0; g < own.size(); ++g)
      if (own[g] != next->blocks[g]) text.tables[g].share(block, next->blocks[g]);
    path.places_.push_back(next);
  }
}

void PrefixTree::publish_all(Text text, Clock::time_point now) {
  publish(text);
  // Its end is a point from which to go on.
  for (int64_t i = text.path.first_in_window_; i < text.path.n_blocks(); ++i)
    impl_->give_window(*text.path.places_[static_cast<size_t>(i)], kNoBlock, true);
  const int64_t n_full = text.path.n_blocks(), begin = n_full * kTokens;
  if (begin >= text.n_stored) return;
  Place* last =
      impl_->put(text.path.place(),
                 text.tokens.subspan(static_cast<size_t>(begin), static_cast<size_t>(text.n_stored - begin)),
                 own_blocks(text, n_full));
  impl_->give_window(*last, kNoBlock, true);
  impl_->touch(*last, now);
}

std::array<BlockId, kMaxGroups> PrefixTree::own_blocks(const Text& text, int64_t block) {
  std::array<BlockId, kMaxGroups> own;
  own.fill(kNoBlock);
  for (size_t g = 0; g < text.path.tree_->groups.size(); ++g)
    own[g] = text.tables[g].ids()[static_cast<size_t>(block)];
  return own;
}

int64_t PrefixTree::n_nodes() const { return static_cast<int64_t>(impl_->nodes.size()); }
int64_t PrefixTree::n_unused(size_t group) const {
  return static_cast<int>(group) == impl_->windowed ? impl_->n_unused_windows : impl_->n_unused;
}
uint64_t PrefixTree::n_evicted() const { return impl_->n_evicted; }

bool PrefixTree::evict_oldest() {
  Impl& t = *impl_;
  if (t.leaves.empty() && t.windows.empty()) return false;
  ++t.n_evicted;
  // Of equal age the end of a text goes before what is further in front.
  if (t.windows.empty() ||
      (!t.leaves.empty() && (*t.leaves.begin())->last_used <= (*t.windows.begin())->last_used)) {
    Place* leaf = *t.leaves.begin();
    Place* parent = leaf->parent;
    t.drop(*leaf);
    t.drop_if_empty(parent);
    return true;
  }
  Place& p = **t.windows.begin();
  t.unlist(p);
  t.release_window(p);
  t.list(p);
  t.drop_if_empty(&p);
  return true;
}

std::optional<PrefixTree::Clock::time_point> PrefixTree::oldest_use() const {
  std::optional<Clock::time_point> oldest;
  for (const auto* list : {&impl_->leaves, &impl_->windows})
    if (!list->empty() && (!oldest || (*list->begin())->last_used < *oldest))
      oldest = (*list->begin())->last_used;
  return oldest;
}

}  // namespace quipu::kv
