#include "sampling/stop.h"

#include <algorithm>

namespace quipu {

// Knuth, Morris and Pratt: every byte is looked at once for each stop string, whatever the strings are.
StopMatcher::StopMatcher(std::vector<std::string> stops) {
  for (std::string& s : stops) {
    if (s.empty() || (static_cast<unsigned char>(s[0]) & 0xC0) == 0x80) continue;
    Pattern p{std::move(s), {}, 0};
    p.shorter.assign(p.text.size(), 0);
    for (size_t i = 1, n = 0; i < p.text.size(); ++i) {
      while (n > 0 && p.text[i] != p.text[n]) n = p.shorter[n - 1];
      if (p.text[i] == p.text[n]) ++n;
      p.shorter[i] = static_cast<uint32_t>(n);
    }
    patterns_.push_back(std::move(p));
  }
}

std::string StopMatcher::push(std::string_view text) {
  if (matched_) return {};
  for (size_t i = 0; i < text.size(); ++i) {
    size_t longest = 0;  // of those complete at this byte
    for (Pattern& p : patterns_) {
      while (p.found > 0 && p.text[p.found] != text[i]) p.found = p.shorter[p.found - 1];
      if (p.text[p.found] == text[i]) ++p.found;
      if (p.found == p.text.size()) longest = std::max(longest, p.found);
    }
    if (longest == 0) continue;
    matched_ = true;
    std::string shown = std::move(held_);
    held_.clear();
    shown.append(text.substr(0, i + 1));
    shown.resize(shown.size() - longest);
    return shown;
  }
  size_t tail = 0;
  for (const Pattern& p : patterns_) tail = std::max(tail, p.found);
  held_.append(text);
  std::string shown = held_.substr(0, held_.size() - tail);
  held_.erase(0, shown.size());
  return shown;
}

std::string StopMatcher::finish() {
  std::string rest = std::move(held_);
  held_.clear();
  for (Pattern& p : patterns_) p.found = 0;
  return rest;
}

namespace {

// Bytes of the white space character at the front of `s`, as Unicode has it; 0: none there.
size_t space_at_front(std::string_view s) {
  const auto is = [s](std::string_view c) { return s.starts_with(c); };
  if (s.empty()) return 0;
  if (s[0] == ' ' || (s[0] >= '\t' && s[0] <= '\r')) return 1;
  if (is("\u0085") || is("\u00A0")) return 2;
  if (is("\u1680") || is("\u2028") || is("\u2029") || is("\u202F") || is("\u205F") || is("\u3000")) return 3;
  if (is("\xE2\x80") && s.size() >= 3 && static_cast<unsigned char>(s[2]) <= 0x8A)
    return 3;  // U+2000 to U+200A
  return 0;
}

std::string_view without_outer_space(std::string_view s) {
  while (const size_t n = space_at_front(s)) s.remove_prefix(n);
  while (!s.empty()) {
    size_t last = s.size() - 1;  // where the last character begins
    while (last > 0 && (static_cast<unsigned char>(s[last]) & 0xC0) == 0x80) --last;
    if (space_at_front(s.substr(last)) != s.size() - last) break;
    s.remove_suffix(s.size() - last);
  }
  return s;
}

}  // namespace

bool RepetitionGuard::push(int32_t token, std::optional<std::string_view> text) {
  const bool tokens = repeats_tokens(token);
  return (text && repeats_text(*text)) || tokens;
}

bool RepetitionGuard::repeats_tokens(int32_t token) {
  bool too_often = false;
  for (uint64_t p = 1; p <= kMaxPeriod && p <= n_tokens_; ++p) {
    if (recent_[(n_tokens_ - p) % kMaxPeriod] != token) {
      run_length_[p] = 0;
      continue;
    }
    // The first time round equals nothing before it, hence p more.
    const uint64_t length = ++run_length_[p] + p;
    too_often |= length >= std::max(kMinTimes * p, kMinTokens);
  }
  recent_[n_tokens_ % kMaxPeriod] = token;
  ++n_tokens_;
  return too_often;
}

bool RepetitionGuard::repeats_text(std::string_view text) {
  text = without_outer_space(text);
  if (text != last_text_) {
    last_text_ = text;
    repeats_ = 0;
    return false;
  }
  return ++repeats_ > kMaxRepeats;
}

}  // namespace quipu
