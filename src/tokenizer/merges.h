// The merge rules of a byte-pair vocabulary, and the symbols they work on.
//
// A symbol is a token, or a text that is no token but that some rule names or makes (in a whole vocabulary
// there is none): those have numbers from the vocabulary's size upwards. Rules are found by the pair of
// symbols they join.
//
// Memory: per rule 8 bytes and 5 to 11 in the index: 2.3 MB for 151,387 rules, 4.3 MB for 280,147.
// Threads: immutable after loading; share freely.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "gguf/file.h"
#include "tokenizer/hash_index.h"
#include "tokenizer/vocab.h"

namespace quipu {

using Symbol = uint32_t;

class Merges {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;

  // Three symbols of 21 bits: two million tokens and more are refused, the largest vocabularies have a
  // quarter million.
  class Rule {
   public:
    static constexpr int kBits = 21;
    static constexpr Symbol kNoSymbol = (1u << kBits) - 1;

    Rule(Symbol left, Symbol right, Symbol joined) : bits_(pair(left, right) << kBits | joined) {}
    static uint64_t pair(Symbol left, Symbol right) { return uint64_t{left} << kBits | right; }
    bool is_for(uint64_t pair) const { return bits_ >> kBits == pair; }
    Symbol joined() const { return static_cast<Symbol>(bits_) & kNoSymbol; }

   private:
    uint64_t bits_;
  };

  // Reads tokenizer.ggml.merges.
  static Result<Merges> load(const gguf::File& file, const Vocab& vocab);

  Symbol symbol_of_byte(uint8_t byte) const { return bytes_[byte]; }

  // The place of the rule that joins these two in the list (smaller goes first), or kNone.
  uint32_t rank(Symbol left, Symbol right) const {
    const uint64_t pair = Rule::pair(left, right);
    return by_pair_.find(hash_(pair), [&](uint32_t i) { return rules_[i].is_for(pair); }).value_or(kNone);
  }
  const Rule& rule(uint32_t rank) const { return rules_[rank]; }

  // Appends the tokens of a symbol that nothing joins any further.
  void append_tokens(Symbol symbol, std::vector<Token>& out) const;

  size_t memory_bytes() const;

 private:
  class Interner;
  explicit Merges(const Vocab& vocab) : n_tokens_(static_cast<Symbol>(vocab.size())), hash_(vocab.hash()) {}

  size_t n_symbols() const { return n_tokens_ + stand_in_ends_.size(); }

  Symbol n_tokens_;
  std::array<Symbol, 256> bytes_{};
  std::vector<Rule> rules_;  // by rank
  HashIndex by_pair_;
  KeyedHash hash_;
  // What is emitted for the symbol n_tokens_ + i: stand_ins_[stand_in_ends_[i - 1] .. stand_in_ends_[i]].
  std::vector<uint32_t> stand_in_ends_;
  std::vector<Token> stand_ins_;
};

}  // namespace quipu
