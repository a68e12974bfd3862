#include "tokenizer/merges.h"

#include <string>
#include <unordered_map>

#include "tokenizer/byte_alphabet.h"

namespace quipu {

namespace {

constexpr std::string_view kMergesKey = "tokenizer.ggml.merges";

// Ranks are 32 bits wide; files with more rules than tokens allow are no vocabularies.
constexpr size_t kMaxRules = 1u << 26;

}  // namespace

// Numbers for texts: the token of that name, or else a symbol that is no token.
class Merges::Interner {
 public:
  Interner(const Vocab& vocab, Merges& merges)
      : vocab_(vocab), merges_(merges), others_(0, Hash{vocab.hash()}) {}

  Symbol operator()(std::string_view text) {
    if (const auto token = vocab_.find(text)) return static_cast<Symbol>(*token);
    const auto [at, is_new] = others_.try_emplace(std::string(text), merges_.n_tokens_ + others_.size());
    if (is_new) add_stand_ins(text);
    return at->second;
  }

 private:
  // The reference looks up each byte of the text as written, so only letters of the alphabet that are a
  // single byte can come out; the rest is dropped without a word.
  void add_stand_ins(std::string_view text) {
    for (size_t i = 0; i < text.size(); ++i)
      if (const auto token = vocab_.find(text.substr(i, 1))) merges_.stand_ins_.push_back(*token);
    merges_.stand_in_ends_.push_back(static_cast<uint32_t>(merges_.stand_ins_.size()));
  }

  const Vocab& vocab_;
  Merges& merges_;
  struct Hash {  // not the standard one: a file could hold texts that collide in that
    KeyedHash keyed;
    size_t operator()(const std::string& text) const { return keyed(std::string_view(text)); }
  };
  std::unordered_map<std::string, Symbol, Hash> others_;
};

Result<Merges> Merges::load(const gguf::File& file, const Vocab& vocab) {
  QUIPU_ASSIGN(const auto array, file.array(kMergesKey));
  if (!array)
    return error(Code::kCorrupt, "a byte-pair vocabulary needs {}, which the file does not have", kMergesKey);
  const auto lines = array->as_strings();
  if (!lines) return error(Code::kCorrupt, "{} is not an array of strings", kMergesKey);
  // Symbols that are no tokens have at most as many stand-ins as the rules have bytes, twice over: 32 bits
  // count them.
  if (lines->size() > kMaxRules || array->raw().size() > UINT32_MAX / 3)
    return error(Code::kUnsupported, "{} has {} entries in {} bytes: too many", kMergesKey, lines->size(),
                 array->raw().size());

  Merges merges(vocab);
  Interner symbol_of(vocab, merges);
  for (unsigned b = 0; b < 256; ++b) merges.bytes_[b] = symbol_of(letter_of_byte(static_cast<uint8_t>(b)));

  merges.rules_.reserve(lines->size());
  merges.by_pair_ = HashIndex(static_cast<uint32_t>(lines->size()));
  std::string joined;
  for (const std::string_view line : *lines) {
    const auto rank = static_cast<uint32_t>(merges.rules_.size());
    // The left part is never empty: a space at the very front belongs to it.
    const size_t space = line.find(' ', 1);
    if (space == std::string_view::npos || space + 1 == line.size()) {
      constexpr Symbol kNo = Rule::kNoSymbol;
      merges.rules_.emplace_back(kNo, kNo, kNo);  // names no pair, but keeps its place in the ranking
      continue;
    }
    const std::string_view left = line.substr(0, space), right = line.substr(space + 1);
    joined.assign(left).append(right);
    const Symbol l = symbol_of(left), r = symbol_of(right), j = symbol_of(joined);
    if (merges.n_symbols() >= Rule::kNoSymbol)
      return error(Code::kUnsupported, "{} has too many symbols", kMergesKey);
    merges.rules_.emplace_back(l, r, j);
    const uint64_t pair = Rule::pair(l, r);
    // Of two rules for one pair the first counts.
    merges.by_pair_.insert(merges.hash_(pair), rank,
                           [&](uint32_t i) { return merges.rules_[i].is_for(pair); });
  }
  merges.stand_in_ends_.shrink_to_fit();
  merges.stand_ins_.shrink_to_fit();
  return merges;
}

void Merges::append_tokens(Symbol symbol, std::vector<Token>& out) const {
  if (symbol < n_tokens_) {
    out.push_back(static_cast<Token>(symbol));
    return;
  }
  const size_t i = symbol - n_tokens_;
  const uint32_t begin = i == 0 ? 0 : stand_in_ends_[i - 1];
  out.insert(out.end(), stand_ins_.begin() + begin, stand_ins_.begin() + stand_in_ends_[i]);
}

size_t Merges::memory_bytes() const {
  return sizeof *this + rules_.capacity() * sizeof(Rule) + by_pair_.memory_bytes() +
         stand_in_ends_.capacity() * sizeof(uint32_t) + stand_ins_.capacity() * sizeof(Token);
}

}  // namespace quipu
