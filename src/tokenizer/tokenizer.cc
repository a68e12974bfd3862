#include "tokenizer/tokenizer.h"

#include "tokenizer/byte_bpe.h"

namespace quipu {

Result<std::unique_ptr<Tokenizer>> Tokenizer::load(const gguf::File& file) {
  constexpr std::string_view kKey = "tokenizer.ggml.model";
  QUIPU_ASSIGN(const auto model, file.string(kKey));
  if (!model) return error(Code::kUnsupported, "the file has no tokenizer ({} is missing)", kKey);
  if (*model == "gpt2") return ByteBpeTokenizer::load(file);
  return error(Code::kUnsupported, "the tokenizer '{}' is not supported; supported is: gpt2 (byte-level BPE)",
               *model);
}

}  // namespace quipu
