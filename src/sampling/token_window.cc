#include "sampling/token_window.h"

#include <algorithm>

namespace quipu::sampling {

void TokenWindow::change(int32_t token, int32_t by) {
  const auto at = std::lower_bound(counts_.begin(), counts_.end(), token,
                                   [](const Count& c, int32_t id) { return c.id < id; });
  if (at == counts_.end() || at->id != token) {
    counts_.insert(at, {token, by});
  } else if ((at->count += by) == 0) {
    counts_.erase(at);
  }
}

void TokenWindow::push(int32_t token) {
  if (size_ <= 0) return;
  if (static_cast<int64_t>(tokens_.size()) < size_) {
    tokens_.push_back(token);
  } else {
    change(tokens_[oldest_], -1);
    tokens_[oldest_] = token;
    oldest_ = (oldest_ + 1) % tokens_.size();
  }
  change(token, 1);
}

void TokenWindow::push(std::span<const int32_t> tokens) {
  if (size_ <= 0 || tokens.empty()) return;
  // What the window holds afterwards, in order; then counted anew by sorting. One by one, each new token
  // would move the counts of all larger ones.
  std::rotate(tokens_.begin(), tokens_.begin() + static_cast<std::ptrdiff_t>(oldest_), tokens_.end());
  oldest_ = 0;
  const auto most = static_cast<size_t>(size_);
  if (tokens.size() > most) tokens = tokens.last(most);
  const size_t kept = std::min(tokens_.size(), most - tokens.size());
  tokens_.erase(tokens_.begin(), tokens_.end() - static_cast<std::ptrdiff_t>(kept));
  tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
  std::vector<int32_t> sorted = tokens_;
  std::sort(sorted.begin(), sorted.end());
  counts_.clear();
  for (int32_t id : sorted) {
    if (counts_.empty() || counts_.back().id != id) counts_.push_back({id, 0});
    ++counts_.back().count;
  }
}

}  // namespace quipu::sampling
