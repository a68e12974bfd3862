// What is in the KV cache, by its tokens: a tree of blocks in which whoever starts with the same tokens finds
// the same blocks, while they are being computed by somebody else, and after.
//
// A node is one block of a text: up to 32 tokens, the block that holds their K and V, and the node of what
// comes before. Its K and V depend on all tokens up to there and on nothing else (ARCHITECTURE.md 6), so a
// node is right for everybody who got there by the same tokens. Full nodes may have others below them; one of
// fewer tokens, the end of a text, has none. No node is the beginning of its sibling: what the longer one
// holds is enough.
//
// Why blocks and not texts: sequences share what they have in common and nothing more, however many they are;
// a text's end can go while its beginning, which others use, stays; and what a node costs is bounded. That is
// less than 300 bytes of ordinary memory (its tokens, its places in two ordered sets), where a block has
// hundreds of kilobytes.
//
// A sequence has a Path: how far its own table's blocks are those of the tree. Nodes on a path stay; all
// others can go, least recently used first, leaves before what they hang from. A sequence's table holds
// references of its own, so a block lives as long as anybody has it.
//
// Layers with a window (a group with one, see layout.h) need only the blocks that it reaches, so most nodes
// have no block of that group: a text can be gone on from where all blocks are there that its window reaches
// back to. That is so behind every running sequence, and at the points that a text names: the windows before
// them stay when the sequence has moved on, and count as cached; so does the one at the end of a text. When
// memory is short they can go without their nodes.
//
// Everything costs O(log nodes) per block; nothing walks the whole tree, and nothing recurses.
//
// Threads: as BlockPool.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "kv/block_pool.h"
#include "kv/block_table.h"
#include "kv/layout.h"

namespace quipu::kv {

class PrefixTree {
  struct Impl;
  struct Place;

 public:
  using Clock = std::chrono::steady_clock;

  // A group of layers: where its blocks are, and how many tokens each query sees; 0: all.
  struct Group {
    BlockPool* pool;
    int64_t window;
  };
  // One group, or one without and one with a window. Pools outlive the tree; the tree outlives every path.
  explicit PrefixTree(std::vector<Group> groups);
  ~PrefixTree();
  PrefixTree(const PrefixTree&) = delete;
  PrefixTree& operator=(const PrefixTree&) = delete;

  class Path {
   public:
    Path() = default;  // of no tree: a sequence that neither finds nor leaves anything
    explicit Path(PrefixTree& tree) : tree_(tree.impl_.get()) {}
    ~Path() { back_to(0); }
    Path(Path&& other) noexcept;
    Path& operator=(Path&& other) noexcept;

    bool in_tree() const { return tree_ != nullptr; }
    // That are the tree's, from the first on.
    int64_t n_blocks() const { return static_cast<int64_t>(places_.size()); }
    bool same_as(const Path& other) const {  // the same tokens so far
      return tree_ == other.tree_ && place() == other.place();
    }
    // Gives up what comes after; from now on that has not been used.
    void back_to(int64_t n_blocks, Clock::time_point now = Clock::now());
    // Windows reach back to this position at most from now on: call it before the tables drop what is before.
    void look_back_to(int64_t position, Clock::time_point now = Clock::now());

   private:
    friend class PrefixTree;
    Place* place() const { return places_.empty() ? nullptr : places_.back(); }  // null: the beginning
    Impl* tree_ = nullptr;
    std::vector<Place*> places_;
    int64_t first_in_window_ = 0;  // of places_
  };

  // A text whose first n_stored tokens have K and V in its tables, and whose first path.n_blocks() blocks are
  // the tree's: never more than n_stored fill.
  struct Text {
    std::span<const int32_t> tokens;
    int64_t n_stored;
    std::span<BlockTable> tables;  // of each group
    Path& path;
    std::span<const int64_t> points = {};  // numbers of tokens from which it is to be possible to go on
  };

  // Takes over from the tree what goes further than the text's own blocks do, `most` tokens in all at most;
  // returns how many have K and V now. The block that the last of them are in may be one that others use too:
  // make_writable() before more is written.
  int64_t adopt(Text text, int64_t most);

  // Puts the blocks that are full into the tree. Where it has the same tokens already its block takes the
  // place of the text's own, which is given back: they are the same bit for bit.
  void publish(Text text);

  // For a text that ends here: also what its last block has, which is not full. The path stays.
  void publish_all(Text text, Clock::time_point now = Clock::now());

  int64_t n_nodes() const;
  int64_t n_unused(size_t group = 0) const;  // blocks that no path needs: these could all go
  uint64_t n_evicted() const;

  // Drops the unused blocks that were used longest ago, of a node or of its window; false: there are none.
  bool evict_oldest();
  std::optional<Clock::time_point> oldest_use() const;  // of what could go next

 private:
  static std::array<BlockId, kMaxGroups> own_blocks(const Text& text, int64_t block);
  std::unique_ptr<Impl> impl_;
};

}  // namespace quipu::kv
