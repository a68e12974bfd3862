// What finished requests left in the cache, for the next turn of their conversations.
//
// Threads: the engine's thread only.
#pragma once

#include <cstdint>
#include <list>
#include <optional>
#include <span>

#include "engine/sequence.h"

namespace quipu {

// How many tokens `stored` has K and V for and `tokens` begins with; at most `most`.
int64_t common_prefix(const CachedTokens& stored, std::span<const Token> tokens, int64_t most);

class KeptConversations {
 public:
  size_t size() const { return kept_.size(); }

  // Whatever of it has no K and V is forgotten.
  void put(CachedTokens cache);

  struct Match {
    int64_t n_tokens = 0;
    std::list<CachedTokens>::iterator at;  // of n_tokens > 0
  };
  // The one in that cache that shares the longest beginning with `tokens`.
  Match find(const KvCache& home, std::span<const Token> tokens, int64_t most);

  // A table with the match's tokens. A conversation that goes on takes its blocks with it; from one that is
  // only alike they are shared, and it stays.
  kv::BlockTable take(Match match);

  bool drop_oldest();                                // false: there is none
  bool drop_unused_since(Clock::time_point before);  // true: some were
  void clear() { kept_.clear(); }
  std::optional<Clock::time_point> oldest_use() const;

 private:
  std::list<CachedTokens> kept_;
};

}  // namespace quipu
