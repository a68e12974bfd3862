// Cuts a text into special tokens written in it and the raw text between them.
//
// The longest special token is looked for first, in the whole text; then the next one in what is left, and so
// on: a longer one wins over a shorter one even where the shorter begins earlier. Threads: immutable; share
// freely.
#pragma once

#include <string_view>
#include <vector>

#include "tokenizer/tokenizer.h"
#include "tokenizer/vocab.h"

namespace quipu {

struct Fragment {
  std::string_view text;  // raw text, or empty: `token`
  Token token = 0;
};

class SpecialPartition {
 public:
  explicit SpecialPartition(const Vocab& vocab);

  // parse_special: control and unknown tokens count; user-defined ones always do. The views point into
  // `text`.
  std::vector<Fragment> cut(const Vocab& vocab, std::string_view text, bool parse_special) const;

  size_t memory_bytes() const { return (by_length_.capacity() + by_text_.capacity()) * sizeof(Token); }

 private:
  std::vector<bool> find_present(const Vocab& vocab, std::string_view text) const;

  std::vector<Token> by_length_;   // longest first
  std::vector<uint32_t> by_text_;  // positions in by_length_, in the order of the texts
  uint32_t first_of_byte_[257];    // where in by_text_ the texts that begin with a byte begin
};

}  // namespace quipu
