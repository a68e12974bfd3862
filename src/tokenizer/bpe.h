// Byte-pair encoding of one piece of text: its bytes are joined by the vocabulary's rules, the one of
// smallest rank first and of several such places the leftmost, until no rule fits any more.
//
// Threads: an encoder holds scratch space, so each thread needs its own; the vocabulary and the rules are
// shared.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/merges.h"
#include "tokenizer/vocab.h"

namespace quipu {

class BpeEncoder {
 public:
  // whole_pieces: a piece that is itself a token becomes that token, whatever the rules make of it.
  BpeEncoder(const Vocab& vocab, const Merges& merges, bool whole_pieces)
      : vocab_(vocab), merges_(merges), whole_pieces_(whole_pieces) {}

  // Any bytes; appends to `out`.
  void encode(std::string_view piece, std::vector<Token>& out);

 private:
  void encode_short(std::string_view piece, std::vector<Token>& out);
  void encode_long(std::string_view piece, std::vector<Token>& out);
  void push_candidate(uint32_t left);

  const Vocab& vocab_;
  const Merges& merges_;
  bool whole_pieces_;
  std::string letters_;

  // encode_long: a doubly linked list over the piece's bytes, and a heap of the joints that have a rule.
  struct Link {
    Symbol symbol;
    uint32_t previous, next;
  };
  std::vector<Link> links_;
  std::vector<uint64_t> heap_;
};

}  // namespace quipu
