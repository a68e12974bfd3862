#include "tokenizer/special_partition.h"

#include <algorithm>
#include <numeric>

namespace quipu {

namespace {

bool is_white_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// Cuts one raw fragment at each place where the special token stands, from left to right.
void cut_fragment(std::string_view rest, std::string_view special, Token token, uint8_t attributes,
                  std::vector<Fragment>& out) {
  for (;;) {
    const size_t at = rest.find(special);
    if (at == std::string_view::npos) break;
    std::string_view left = rest.substr(0, at);
    rest.remove_prefix(at + special.size());
    if (attributes & kStripLeft)
      while (!left.empty() && is_white_space(left.back())) left.remove_suffix(1);
    if (attributes & kStripRight)
      while (!rest.empty() && is_white_space(rest.front())) rest.remove_prefix(1);
    if (!left.empty()) out.push_back({left, 0});
    out.push_back({{}, token});
  }
  if (!rest.empty()) out.push_back({rest, 0});
}

}  // namespace

SpecialPartition::SpecialPartition(const Vocab& vocab) {
  for (Token id = 0; id < vocab.size(); ++id)
    if (vocab.has(id, kControl | kUserDefined | kUnknown)) by_length_.push_back(id);
  // Not stable, on purpose: tokens of the same length stay in the order in which this very function leaves
  // them, as in the reference. It shows only where two of them overlap in a text.
  std::sort(by_length_.begin(), by_length_.end(),
            [&](Token a, Token b) { return vocab.text(a).size() > vocab.text(b).size(); });

  by_text_.resize(by_length_.size());
  std::iota(by_text_.begin(), by_text_.end(), 0u);
  const auto text = [&](uint32_t i) { return vocab.text(by_length_[i]); };
  std::sort(by_text_.begin(), by_text_.end(), [&](uint32_t a, uint32_t b) { return text(a) < text(b); });
  uint32_t at = 0;
  for (unsigned byte = 0; byte < 257; ++byte) {
    while (at < by_text_.size() && static_cast<unsigned char>(text(by_text_[at])[0]) < byte) ++at;
    first_of_byte_[byte] = at;
  }
  by_length_.shrink_to_fit();
}

// Which special tokens occur in the text at all, by position in by_length_: one pass, so that the cost of a
// text does not grow with the thousands of special tokens that some vocabularies have.
std::vector<bool> SpecialPartition::find_present(const Vocab& vocab, std::string_view text) const {
  std::vector<bool> present(by_length_.size());
  const auto text_of = [&](uint32_t i) { return vocab.text(by_length_[i]); };
  for (size_t at = 0; at < text.size(); ++at) {
    const auto lead = static_cast<unsigned char>(text[at]);
    uint32_t first = first_of_byte_[lead], last = first_of_byte_[lead + 1];
    // The range of texts that begin as the text does here, byte by byte narrower.
    for (size_t depth = 1; first < last; ++depth) {
      // In a range with a common beginning of `depth` bytes, the text that is just that stands first.
      if (text_of(by_text_[first]).size() == depth) {
        present[by_text_[first]] = true;
        ++first;
      }
      if (first == last || at + depth >= text.size()) break;
      const auto wanted = static_cast<unsigned char>(text[at + depth]);
      const auto byte_there = [&](uint32_t i) { return static_cast<unsigned char>(text_of(i)[depth]); };
      const auto begin = by_text_.begin();
      const auto low = std::lower_bound(begin + first, begin + last, wanted,
                                        [&](uint32_t i, unsigned char b) { return byte_there(i) < b; });
      const auto high = std::upper_bound(low, begin + last, wanted,
                                         [&](unsigned char b, uint32_t i) { return b < byte_there(i); });
      first = static_cast<uint32_t>(low - begin);
      last = static_cast<uint32_t>(high - begin);
    }
  }
  return present;
}

std::vector<Fragment> SpecialPartition::cut(const Vocab& vocab, std::string_view text,
                                            bool parse_special) const {
  std::vector<Fragment> fragments, next;
  if (text.empty()) return fragments;
  fragments.push_back({text, 0});
  const std::vector<bool> present = find_present(vocab, text);
  for (size_t i = 0; i < by_length_.size(); ++i) {
    const Token token = by_length_[i];
    if (!present[i] || (!parse_special && vocab.has(token, kControl | kUnknown))) continue;
    next.clear();
    for (const Fragment& f : fragments) {
      if (f.text.empty())
        next.push_back(f);
      else
        cut_fragment(f.text, vocab.text(token), token, vocab.attributes(token), next);
    }
    fragments.swap(next);
  }
  return fragments;
}

}  // namespace quipu
