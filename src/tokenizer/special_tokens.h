// Which tokens have a meaning of their own, and the corrections that vocabularies need before they are used.
//
// A file says some of it by keys (tokenizer.ggml.bos_token_id, ...). What it leaves out is found by the
// tokens' texts, and tokens that end an answer count as control tokens even where the file calls them normal
// ones.
#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "gguf/file.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/vocab.h"

namespace quipu {

struct SpecialSet {
  SpecialTokens tokens;
  std::vector<Token> end_of_generation;  // ascending
};

// `defaults` is what holds where the file has no key; ids outside the vocabulary are ignored. Changes the
// attributes of tokens in `vocab` as their texts, the model's name and the pre-tokenizer's (may be empty) ask
// for.
Result<SpecialSet> load_special_tokens(const gguf::File& file, const SpecialTokens& defaults,
                                       std::string_view pre, Vocab& vocab);

}  // namespace quipu
