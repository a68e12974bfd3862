#include "tokenizer/pre_tokenizer.h"

#include <algorithm>

#include "tokenizer/character_class.h"
#include "tokenizer/utf8.h"

namespace quipu {

namespace {

using enum SplitStep;

constexpr auto kWholePieces = PreTokenizer::kWholePieces, kAddBos = PreTokenizer::kAddBos,
               kAddSep = PreTokenizer::kAddSep, kNoDefaultBos = PreTokenizer::kNoDefaultBos,
               kCleanSpaces = PreTokenizer::kCleanSpaces;

constexpr PreTokenizer kTable[] = {
    {"llama-bpe", {kLlama3Words}, kWholePieces | kAddBos | kCleanSpaces},
    {"llama3", {kLlama3Words}, kWholePieces | kAddBos | kCleanSpaces},
    {"llama-v3", {kLlama3Words}, kWholePieces | kAddBos | kCleanSpaces},
    {"falcon3", {kLlama3Words}, kWholePieces | kAddBos | kCleanSpaces},
    {"falcon-h1", {kLlama3Words}, kWholePieces | kAddBos | kCleanSpaces},
    {"pixtral", {kLlama3Words}, kWholePieces | kAddBos | kCleanSpaces},
    {"midm-2.0", {kLlama3Words}, kWholePieces | kAddBos | kCleanSpaces},
    {"lfm2", {kLlama3Words}, kWholePieces | kAddBos | kCleanSpaces},
    {"jina-v5-nano", {kLlama3Words}, kWholePieces | kAddBos | kCleanSpaces},
    {"dbrx", {kLlama3Words}, kCleanSpaces},
    {"smaug-bpe", {kLlama3Words}, kCleanSpaces},
    {"chatglm-bpe", {kLlama3Words}, kNoDefaultBos | kCleanSpaces},
    {"glm4", {kLlama3Words}, kWholePieces | kNoDefaultBos | kCleanSpaces},
    {"glm5", {kLlama3Words}, kWholePieces | kNoDefaultBos | kCleanSpaces},

    {"qwen2", {kQwen2Words}, 0},
    {"deepseek-r1-qwen", {kQwen2Words}, 0},
    {"kormo", {kQwen2Words}, 0},
    {"f2llmv2", {kQwen2Words}, 0},
    {"megrez", {kQwen2Words}, kCleanSpaces},
    {"stablelm2", {kQwen2Words}, kCleanSpaces},
    {"hunyuan", {kQwen2Words}, 0},
    {"solar-open", {kQwen2Words}, 0},
    {"grok-2", {kQwen2Words}, 0},

    {"gpt-2", {kGpt2Words}, kCleanSpaces},
    {"phi-2", {kGpt2Words}, kCleanSpaces},
    {"jina-es", {kGpt2Words}, kCleanSpaces},
    {"jina-de", {kGpt2Words}, kCleanSpaces},
    {"jina-v2-es", {kGpt2Words}, kCleanSpaces},
    {"jina-v2-de", {kGpt2Words}, kCleanSpaces},
    {"gigachat", {kGpt2Words}, kCleanSpaces},
    {"mellum", {kGpt2Words}, kCleanSpaces},
    {"a.x-4.0", {kGpt2Words}, kCleanSpaces},
    {"modern-bert", {kGpt2Words}, kCleanSpaces},
    {"mpt", {kGpt2Words}, kCleanSpaces},
    {"olmo", {kGpt2Words}, kCleanSpaces},
    {"jais", {kGpt2Words}, kCleanSpaces},
    {"exaone4", {kGpt2Words}, kCleanSpaces},
    {"trillion", {kGpt2Words}, 0},
    {"granite-docling", {kGpt2Words}, 0},
    {"jina-v1-en", {kGpt2Words}, kAddSep | kCleanSpaces},
    {"jina-v2-code", {kGpt2Words}, kAddSep | kCleanSpaces},
    {"roberta-bpe", {kGpt2Words}, kAddSep | kCleanSpaces},

    {"starcoder", {kSingleNumbers, kGpt2Words}, kCleanSpaces},
    {"refact", {kSingleNumbers, kGpt2Words}, kCleanSpaces},
    {"codeshell", {kSingleNumbers, kGpt2Words}, kCleanSpaces},
    {"exaone", {kSingleNumbers, kGpt2Words}, kCleanSpaces},
    {"minerva-7b", {kSingleNumbers, kGpt2Words}, kCleanSpaces},
    {"mellum2", {kSingleNumbers, kGpt2Words}, kCleanSpaces},
    {"smollm", {kSingleNumbers, kGpt2Words}, 0},
    {"command-r", {kSingleNumbers, kGpt2Words}, 0},
};

// A place in a text and the character there. Past the end: class kOther, length 0.
class Reader {
 public:
  explicit Reader(std::string_view text, size_t at = 0) : text_(text), at_(at) { read(); }

  bool done() const { return at_ >= text_.size(); }
  size_t at() const { return at_; }
  char32_t value() const { return here_.value; }
  bool is(CharacterClass c) const { return class_ == c && !done(); }
  bool is_newline() const { return !done() && (here_.value == '\r' || here_.value == '\n'); }

  void next() {
    at_ += here_.length;
    read();
  }
  void skip(CharacterClass c) {
    while (is(c)) next();
  }
  void skip_newlines() {
    while (is_newline()) next();
  }

 private:
  void read() {
    here_ = done() ? CodePoint{} : decode_normalised(text_.data() + at_);
    class_ = done() ? CharacterClass::kOther : character_class(here_.value);
  }

  std::string_view text_;
  size_t at_;
  CodePoint here_;
  CharacterClass class_ = CharacterClass::kOther;
};

// The length of 's 't 'm 'd 're 've 'll at the front of `text`, or 0.
size_t contraction(std::string_view text, bool any_case) {
  if (text.size() < 2 || text[0] != '\'') return 0;
  const auto lower = [&](size_t i) {
    const char c = text[i];
    return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  };
  const char a = lower(1);
  if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
  if (text.size() < 3) return 0;
  const char b = lower(2);
  return (a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l') ? 3 : 0;
}

// The end of the run of white space at `r`: \s+(?!\S)|\s+. The last one is left to the word behind it.
size_t white_space_end(Reader r) {
  const size_t begin = r.at();
  size_t last = begin;
  for (; r.is(CharacterClass::kSpace); r.next()) last = r.at();
  return r.done() || last == begin ? r.at() : last;
}

// Each of these gives the end of the piece that begins at `at` (before the text's end).
size_t gpt2_word_end(std::string_view text, size_t at) {
  if (const size_t n = contraction(text.substr(at), false)) return at + n;
  Reader r(text, at);
  const Reader start = r;
  if (r.value() == ' ') r.next();
  if (!r.done() && !r.is(CharacterClass::kSpace)) {
    // One class of characters, behind the space if there was one.
    const CharacterClass kind = r.is(CharacterClass::kLetter)   ? CharacterClass::kLetter
                                : r.is(CharacterClass::kNumber) ? CharacterClass::kNumber
                                                                : CharacterClass::kOther;
    r.skip(kind);
    return r.at();
  }
  return white_space_end(start);
}

size_t llama3_word_end(std::string_view text, size_t at, int longest_number) {
  if (const size_t n = contraction(text.substr(at), true)) return at + n;
  Reader r(text, at);
  const Reader start = r;

  // [^\r\n\p{L}\p{N}]?\p{L}+
  if (!r.is(CharacterClass::kLetter) && !r.is(CharacterClass::kNumber) && !r.is_newline()) r.next();
  if (r.is(CharacterClass::kLetter)) {
    r.skip(CharacterClass::kLetter);
    return r.at();
  }
  r = start;

  // \p{N}{1,longest_number}
  if (r.is(CharacterClass::kNumber)) {
    for (int i = 0; i < longest_number && r.is(CharacterClass::kNumber); ++i) r.next();
    return r.at();
  }

  // ?[^\s\p{L}\p{N}]+[\r\n]*
  if (r.value() == ' ') r.next();
  if (r.is(CharacterClass::kOther)) {
    r.skip(CharacterClass::kOther);
    r.skip_newlines();
    return r.at();
  }
  r = start;

  // \s*[\r\n]+: up to the last line end of the run of white space
  size_t last_newline_end = at;
  while (r.is(CharacterClass::kSpace)) {
    const bool newline = r.is_newline();
    r.next();
    if (newline) last_newline_end = r.at();
  }
  if (last_newline_end > at) return last_newline_end;

  return white_space_end(start);
}

void run_step(SplitStep step, std::string_view text, FunctionRef<void(std::string_view)> emit) {
  if (step == kSingleNumbers) {
    // What stands between numbers is a piece as well.
    size_t begin = 0;
    for (Reader r(text); !r.done();) {
      const size_t at = r.at();
      const bool number = r.is(CharacterClass::kNumber);
      r.next();
      if (!number) continue;
      if (at > begin) emit(text.substr(begin, at - begin));
      emit(text.substr(at, r.at() - at));
      begin = r.at();
    }
    if (begin < text.size()) emit(text.substr(begin));
    return;
  }
  for (size_t at = 0; at < text.size();) {
    const size_t end = step == kGpt2Words ? gpt2_word_end(text, at)
                                          : llama3_word_end(text, at, step == kLlama3Words ? 3 : 1);
    emit(text.substr(at, end - at));
    at = end;
  }
}

}  // namespace

const PreTokenizer* find_pre_tokenizer(std::string_view name) {
  const auto* found = std::find_if(std::begin(kTable), std::end(kTable),
                                   [name](const PreTokenizer& p) { return p.name == name; });
  return found == std::end(kTable) ? nullptr : found;
}

std::string supported_pre_tokenizers() {
  std::string out;
  for (const PreTokenizer& p : kTable) {
    if (!out.empty()) out += ", ";
    out += p.name;
  }
  return out;
}

void split(std::span<const SplitStep> steps, std::string_view text,
           FunctionRef<void(std::string_view)> emit) {
  if (text.empty()) return;
  if (steps.empty() || steps[0] == kNone) {
    emit(text);
    return;
  }
  run_step(steps[0], text, [&](std::string_view piece) { split(steps.subspan(1), piece, emit); });
}

}  // namespace quipu
