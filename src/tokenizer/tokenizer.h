// Text to token ids and back, as the model file's vocabulary says. Spec: gguf-and-models 4.
//
// Threads: immutable after load(); share freely. Token texts are views into the file's mapping where
// possible, so the gguf::File must outlive the Tokenizer.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gguf/file.h"

namespace quipu {

using Token = int32_t;

struct SpecialTokens {
  std::optional<Token> bos, eos, eot, eom, unknown, separator, padding, mask, fim_pre, fim_suf, fim_mid,
      fim_pad, fim_rep, fim_sep;
  bool add_bos = false, add_eos = false, add_sep = false;
};

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // An unknown or not yet built tokenizer is kUnsupported and names it: such a model still loads, for token
  // ids.
  static Result<std::unique_ptr<Tokenizer>> load(const gguf::File& file);

  // Any bytes are accepted. add_special: BOS/EOS as the model says. parse_special: control tokens written in
  // the text are recognised (user-defined ones always are).
  virtual std::vector<Token> encode(std::string_view text, bool add_special, bool parse_special) const = 0;
  // As encode(), but may stop anywhere after more than `most` tokens: for who wants to know no more than that
  // a text is so long, or its first tokens.
  virtual std::vector<Token> encode_start(std::string_view text, bool add_special, bool parse_special,
                                          [[maybe_unused]] size_t most) const {
    return encode(text, add_special, parse_special);
  }

  // The bytes of one token; control tokens give "" unless `special`. May be part of a character. Ids out of
  // range: "".
  virtual std::string piece(Token id, bool special) const = 0;

  // Whole-sequence detokenisation, with the vocabulary's clean-up of spaces (spec 4.7).
  virtual std::string decode(std::span<const Token> ids, bool remove_special, bool unparse_special) const = 0;

  virtual int32_t size() const = 0;
  virtual std::string_view text(Token id) const = 0;  // the vocabulary entry as stored
  virtual const SpecialTokens& special() const = 0;
  virtual bool is_control(Token id) const = 0;
  virtual bool is_end_of_generation(Token id) const = 0;
  virtual std::span<const Token> end_of_generation() const = 0;
  virtual size_t memory_bytes() const = 0;  // what it holds beside the file's mapping
};

// What memory_bytes() of the file's tokenizer will be, from the numbers of tokens and merges alone: right to
// a few KiB for special tokens. 0: it has none.
uint64_t planned_tokenizer_bytes(const gguf::File& file);

// Joins pieces into text that never ends inside a character: incomplete UTF-8 tails are held back until
// complete. Bytes that can never become valid UTF-8 are replaced by U+FFFD, one per bad byte.
class Utf8Stream {
 public:
  std::string push(std::string_view bytes);  // the text that is complete now
  std::string finish();                      // what was held back, as U+FFFD; empty if nothing was

 private:
  std::string held_;
};

}  // namespace quipu
