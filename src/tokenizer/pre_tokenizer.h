// Pre-tokenizers: the rules by which a byte-pair vocabulary's text is cut into pieces before anything is
// merged.
//
// A model file names its rule (tokenizer.ggml.pre). A rule is a list of steps, each of which cuts every piece
// that the step before it left; nothing of the text is lost. The steps are regular expressions in the models'
// own files; here they are matched by hand: linear in the text whatever it holds, and without any memory.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/function_ref.h"

namespace quipu {

enum class SplitStep : uint8_t {
  kNone,
  // 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
  kGpt2Words,
  // (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|
  // ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
  kLlama3Words,
  // the same with \p{N} instead of \p{N}{1,3}
  kQwen2Words,
  // \p{N}
  kSingleNumbers,
};

struct PreTokenizer {
  enum Flag : uint8_t {
    kWholePieces = 1,   // a piece that is itself a token is not merged
    kAddBos = 2,        // by default; the file can say otherwise
    kAddSep = 4,        // by default
    kNoDefaultBos = 8,  // there is no beginning token unless the file names one
    kCleanSpaces = 16   // decoding a whole sequence takes the spaces before punctuation out
  };

  std::string_view name;           // as in tokenizer.ggml.pre
  std::array<SplitStep, 2> steps;  // kNone: no further step
  unsigned flags;

  bool has(Flag flag) const { return (flags & flag) != 0; }
};

// Nothing if the name is unknown or its rule is not built in yet.
const PreTokenizer* find_pre_tokenizer(std::string_view name);
std::string supported_pre_tokenizers();  // for error messages: all names, in the table's order

// Calls `emit` with each piece of `text` in order. The text is normalised UTF-8 (utf8.h).
void split(std::span<const SplitStep> steps, std::string_view text, FunctionRef<void(std::string_view)> emit);

}  // namespace quipu
