#include "tokenizer/tokenizer.h"

#include <algorithm>

#include "tokenizer/byte_bpe.h"
#include "tokenizer/hash_index.h"

namespace quipu {

Result<std::unique_ptr<Tokenizer>> Tokenizer::load(const gguf::File& file) {
  constexpr std::string_view kKey = "tokenizer.ggml.model";
  QUIPU_ASSIGN(const auto model, file.string(kKey));
  if (!model) return error(Code::kUnsupported, "the file has no tokenizer ({} is missing)", kKey);
  if (*model == "gpt2") return ByteBpeTokenizer::load(file);
  return error(Code::kUnsupported, "the tokenizer '{}' is not supported; supported is: gpt2 (byte-level BPE)",
               *model);
}

uint64_t planned_tokenizer_bytes(const gguf::File& file) {
  const auto count = [&](std::string_view key) -> uint64_t {
    const auto array = file.array(key);
    return array && *array ? std::min<uint64_t>((*array)->size(), UINT32_MAX) : 0;
  };
  const uint64_t tokens = count("tokenizer.ggml.tokens"), merges = count("tokenizer.ggml.merges");
  if (tokens == 0) return 0;
  // vocab.h and merges.h say what is held for each.
  return tokens * 5 + HashIndex::memory_bytes_for(tokens) + merges * 8 + HashIndex::memory_bytes_for(merges);
}

}  // namespace quipu
