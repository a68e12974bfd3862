#include "engine/kept.h"

#include <algorithm>

namespace quipu {

int64_t common_prefix(const CachedTokens& stored, std::span<const Token> tokens, int64_t most) {
  const int64_t end = std::min({most, stored.n_stored, static_cast<int64_t>(tokens.size())});
  if (end <= 0) return 0;
  return std::mismatch(tokens.begin(), tokens.begin() + end, stored.tokens.begin()).first - tokens.begin();
}

void KeptConversations::put(CachedTokens cache) {
  if (cache.n_stored == 0) return;
  cache.tokens.resize(static_cast<size_t>(cache.n_stored));
  cache.table.truncate(cache.n_stored);
  cache.last_used = Clock::now();
  kept_.push_back(std::move(cache));
}

KeptConversations::Match KeptConversations::find(const KvCache& home, std::span<const Token> tokens,
                                                 int64_t most) {
  Match best;
  for (auto it = kept_.begin(); it != kept_.end(); ++it)
    if (it->home != &home)
      continue;
    else if (const int64_t n = common_prefix(*it, tokens, most); n > best.n_tokens)
      best = {n, it};
  return best;
}

kv::BlockTable KeptConversations::take(Match match) {
  if (match.n_tokens < match.at->n_stored) return match.at->table.fork(match.n_tokens);
  kv::BlockTable table = std::move(match.at->table);
  kept_.erase(match.at);
  return table;
}

// They are put in order of time, so the oldest is in front.
bool KeptConversations::drop_oldest() {
  if (kept_.empty()) return false;
  kept_.pop_front();
  return true;
}

bool KeptConversations::drop_unused_since(Clock::time_point before) {
  bool some = false;
  while (!kept_.empty() && kept_.front().last_used <= before) some = drop_oldest();
  return some;
}

std::optional<Clock::time_point> KeptConversations::oldest_use() const {
  if (kept_.empty()) return std::nullopt;
  return kept_.front().last_used;
}

}  // namespace quipu
