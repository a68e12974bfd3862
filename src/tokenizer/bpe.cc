#include "tokenizer/bpe.h"

#include <algorithm>
#include <functional>
#include <optional>

#include "tokenizer/byte_alphabet.h"

namespace quipu {

namespace {

// Up to here looking through all joints for the best one is faster than keeping a heap of them; nearly every
// piece of natural text is shorter.
constexpr size_t kShort = 40;

// A longer piece is cut, between two characters: its scratch space, up to 36 bytes for each of its own, would
// outgrow everything else that a model's process holds. The longest words that mean anything are a thousand
// times shorter.
constexpr size_t kLongestPiece = size_t{1} << 20;

constexpr uint32_t kEnd = UINT32_MAX;

}  // namespace

void BpeEncoder::encode(std::string_view piece, std::vector<Token>& out) {
  while (piece.size() > kLongestPiece) {
    size_t cut = kLongestPiece;
    for (int i = 0; i < 3 && (static_cast<unsigned char>(piece[cut]) & 0xC0) == 0x80; ++i) --cut;
    encode_long(piece.substr(0, cut), out);
    piece.remove_prefix(cut);
  }
  if (piece.empty()) return;
  if (whole_pieces_ && piece.size() <= vocab_.longest_text()) {
    letters_.clear();
    append_letters(letters_, piece);
    if (const auto token = vocab_.find(letters_)) {
      out.push_back(*token);
      return;
    }
  }
  if (piece.size() <= kShort)
    encode_short(piece, out);
  else
    encode_long(piece, out);
}

void BpeEncoder::encode_short(std::string_view piece, std::vector<Token>& out) {
  Symbol symbols[kShort];
  uint32_t ranks[kShort];  // of the joint behind each symbol
  size_t n = piece.size();
  for (size_t i = 0; i < n; ++i) symbols[i] = merges_.symbol_of_byte(static_cast<uint8_t>(piece[i]));
  for (size_t i = 0; i + 1 < n; ++i) ranks[i] = merges_.rank(symbols[i], symbols[i + 1]);

  while (n > 1) {
    const size_t at = static_cast<size_t>(std::min_element(ranks, ranks + n - 1) - ranks);
    if (ranks[at] == Merges::kNone) break;
    symbols[at] = merges_.rule(ranks[at]).joined();
    std::copy(symbols + at + 2, symbols + n, symbols + at + 1);
    if (at + 2 < n) std::copy(ranks + at + 1, ranks + n - 1, ranks + at);
    --n;
    if (at > 0) ranks[at - 1] = merges_.rank(symbols[at - 1], symbols[at]);
    if (at + 1 < n) ranks[at] = merges_.rank(symbols[at], symbols[at + 1]);
  }
  for (size_t i = 0; i < n; ++i) merges_.append_tokens(symbols[i], out);
}

// The joint behind `left`, if a rule fits it. Rank above position: the heap gives the smallest rank, leftmost
// first.
void BpeEncoder::push_candidate(uint32_t left) {
  const Link& link = links_[left];
  if (link.next == kEnd) return;
  const uint32_t rank = merges_.rank(link.symbol, links_[link.next].symbol);
  if (rank == Merges::kNone) return;
  heap_.push_back(uint64_t{rank} << 32 | left);
}

void BpeEncoder::encode_long(std::string_view piece, std::vector<Token>& out) {
  const auto n = static_cast<uint32_t>(piece.size());
  links_.resize(n);
  heap_.clear();
  for (uint32_t i = 0; i < n; ++i)
    links_[i] = {merges_.symbol_of_byte(static_cast<uint8_t>(piece[i])), i == 0 ? kEnd : i - 1,
                 i + 1 == n ? kEnd : i + 1};
  for (uint32_t i = 0; i < n; ++i) push_candidate(i);
  std::make_heap(heap_.begin(), heap_.end(), std::greater<>());

  while (!heap_.empty()) {
    std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
    const auto rank = static_cast<uint32_t>(heap_.back() >> 32);
    const auto at = static_cast<uint32_t>(heap_.back());
    heap_.pop_back();

    // Joints are not taken out of the heap when a neighbour changes: one that no longer is what it was is
    // passed over.
    const Merges::Rule rule = merges_.rule(rank);
    Link& left = links_[at];
    if (left.next == kEnd || !rule.is_for(Merges::Rule::pair(left.symbol, links_[left.next].symbol)))
      continue;

    const uint32_t joined_away = left.next;
    left.symbol = rule.joined();
    left.next = links_[joined_away].next;
    if (left.next != kEnd) links_[left.next].previous = at;
    links_[joined_away].symbol = Merges::Rule::kNoSymbol;  // no rule is for it

    const auto add = [this](uint32_t i) {
      const size_t before = heap_.size();
      push_candidate(i);
      if (heap_.size() > before) std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
    };
    if (left.previous != kEnd) add(left.previous);
    add(at);
  }
  for (uint32_t i = 0; i != kEnd; i = links_[i].next) merges_.append_tokens(links_[i].symbol, out);

  // A long piece is rare, and its scratch space large.
  constexpr size_t kKept = 4096;
  if (links_.capacity() > kKept) {
    links_ = {};
    heap_ = {};
  }
}

}  // namespace quipu
