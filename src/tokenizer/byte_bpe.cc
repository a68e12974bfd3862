#include "tokenizer/byte_bpe.h"

#include <algorithm>

#include "tokenizer/bpe.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/clean_spaces.h"
#include "tokenizer/utf8.h"

namespace quipu {

namespace {

// What GPT-2's own vocabulary calls "<|endoftext|>" nobody knows any more; files without keys mean this.
constexpr Token kDefaultBos = 11, kDefaultEos = 11;

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

// The byte of a token <0x41>.
std::optional<char> byte_of_token(std::string_view text) {
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return std::nullopt;
  const int high = hex_digit(text[3]), low = hex_digit(text[4]);
  if (high < 0 || low < 0) return std::nullopt;
  return static_cast<char>(high << 4 | low);
}

Result<const PreTokenizer*> pre_tokenizer_of(const gguf::File& file) {
  QUIPU_ASSIGN(const auto name, file.string("tokenizer.ggml.pre"));
  const std::string_view wanted = name.value_or("");
  const PreTokenizer* found = find_pre_tokenizer(wanted);
  if (found == nullptr)
    return error(
        Code::kUnsupported, "{}; supported are: {}",
        wanted.empty()
            ? std::string("the file names no pre-tokenizer (tokenizer.ggml.pre), and the default one is "
                          "not supported yet")
            : fmt::format("the pre-tokenizer '{}' is not supported", wanted),
        supported_pre_tokenizers());
  return found;
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> ByteBpeTokenizer::load(const gguf::File& file) {
  QUIPU_ASSIGN(const PreTokenizer* pre, pre_tokenizer_of(file));
  QUIPU_ASSIGN(Vocab vocab, Vocab::load(file));
  QUIPU_ASSIGN(Merges merges, Merges::load(file, vocab));

  SpecialTokens defaults;
  if (!pre->has(PreTokenizer::kNoDefaultBos)) defaults.bos = kDefaultBos;
  defaults.eos = kDefaultEos;
  defaults.add_bos = pre->has(PreTokenizer::kAddBos);
  defaults.add_sep = pre->has(PreTokenizer::kAddSep);
  QUIPU_ASSIGN(SpecialSet special, load_special_tokens(file, defaults, pre->name, vocab));

  QUIPU_ASSIGN(const auto space_prefix, file.boolean("tokenizer.ggml.add_space_prefix"));
  return std::unique_ptr<Tokenizer>(new ByteBpeTokenizer(
      std::move(vocab), std::move(merges), std::move(special), *pre, space_prefix.value_or(false)));
}

std::vector<Token> ByteBpeTokenizer::encode_start(std::string_view text, bool add_special, bool parse_special,
                                                  size_t most) const {
  std::vector<Token> out;
  const SpecialTokens& special = special_.tokens;
  if (add_special && special.add_bos && special.bos) out.push_back(*special.bos);

  BpeEncoder encoder(vocab_, merges_, pre_.has(PreTokenizer::kWholePieces));
  std::string buffer;
  for (const Fragment& f : partition_.cut(vocab_, text, parse_special)) {
    if (out.size() > most) return out;
    if (f.text.empty()) {
      out.push_back(f.token);
      continue;
    }
    split(pre_.steps, normalise_utf8(f.text, buffer), [&](std::string_view piece) {
      if (out.size() <= most) encoder.encode(piece, out);
    });
  }

  if (add_special && special.add_eos && special.eos) out.push_back(*special.eos);
  return out;
}

void ByteBpeTokenizer::append_piece(Token id, bool special, std::string& out) const {
  if (!vocab_.contains(id) || (!special && vocab_.has(id, kControl | kUnknown))) return;
  const std::string_view text = vocab_.text(id);
  if (vocab_.has(id, kControl | kUnknown | kUserDefined))
    out += text;
  else if (vocab_.has(id, kNormal))
    append_bytes(out, text);
  else if (vocab_.has(id, kByte))
    if (const auto byte = byte_of_token(text)) out += *byte;
}

std::string ByteBpeTokenizer::piece(Token id, bool special) const {
  std::string out;
  append_piece(id, special, out);
  return out;
}

std::string ByteBpeTokenizer::decode(std::span<const Token> ids, bool remove_special,
                                     bool unparse_special) const {
  const SpecialTokens& special = special_.tokens;
  bool drop_space = space_prefix_;
  if (remove_special && special.add_bos && !ids.empty() && ids.front() == special.bos) {
    drop_space = false;
    ids = ids.subspan(1);
  }
  if (remove_special && special.add_eos && !ids.empty() && ids.back() == special.eos)
    ids = ids.first(ids.size() - 1);

  std::string out;
  for (const Token id : ids) {
    append_piece(id, unparse_special, out);
    if (drop_space && out.starts_with(' ')) out.erase(0, 1);
    drop_space = false;
  }
  if (pre_.has(PreTokenizer::kCleanSpaces)) clean_spaces(out);
  return out;
}

bool ByteBpeTokenizer::is_end_of_generation(Token id) const {
  return std::binary_search(special_.end_of_generation.begin(), special_.end_of_generation.end(), id);
}

size_t ByteBpeTokenizer::memory_bytes() const {
  return sizeof *this + vocab_.memory_bytes() + merges_.memory_bytes() + partition_.memory_bytes() +
         special_.end_of_generation.capacity() * sizeof(Token);
}

}  // namespace quipu
