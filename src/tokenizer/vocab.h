// The vocabulary of a model file: the text and the attributes of each token, and the token of each text.
//
// Memory, beside the file's mapping: per token 4 bytes for where its text lies, 1 for its attributes, and 4
// to 8 in the index (8 slots of 4 bytes for at most 6 tokens, rounded up to a power of two): 1.8 MB for
// 151,936 tokens. Threads: immutable after loading; share freely.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "gguf/file.h"
#include "tokenizer/hash_index.h"
#include "tokenizer/tokenizer.h"

namespace quipu {

// A token may have several: a normal token that looks like an end of turn is normal and control.
enum Attribute : uint8_t {
  kUnknown = 1,
  kUnused = 2,
  kNormal = 4,
  kControl = 8,
  kUserDefined = 16,
  kByte = 32,
  kStripLeft = 64,   // white space before it belongs to it
  kStripRight = 128  // white space after it belongs to it
};

class Vocab {
 public:
  // Reads tokenizer.ggml.tokens and .token_type.
  static Result<Vocab> load(const gguf::File& file);

  int32_t size() const { return static_cast<int32_t>(attributes_.size()); }
  bool contains(Token id) const { return id >= 0 && id < size(); }

  // These want an id of the vocabulary. An entry that is empty in the file is called [EMPTY_<id>].
  std::string_view text(Token id) const;
  uint8_t attributes(Token id) const { return attributes_[static_cast<size_t>(id)]; }
  bool has(Token id, unsigned any_of) const { return (attributes(id) & any_of) != 0; }
  void set_attributes(Token id, unsigned attributes) {
    attributes_[static_cast<size_t>(id)] = static_cast<uint8_t>(attributes);
  }

  std::optional<Token> find(std::string_view text) const;

  uint32_t longest_text() const { return longest_text_; }  // in bytes
  const KeyedHash& hash() const { return hash_; }
  size_t memory_bytes() const;

 private:
  explicit Vocab(uint64_t hash_key) : hash_(hash_key) {}
  Result<void> read_texts(const gguf::File& file);
  Result<void> read_types(const gguf::File& file);

  const char* texts_ = nullptr;    // the file's array of strings
  std::vector<uint32_t> offsets_;  // where each text begins in it, and where one after the last would
  std::vector<uint8_t> attributes_;
  std::vector<std::pair<Token, std::string>> renamed_;  // the empty entries, by id
  HashIndex by_text_;
  KeyedHash hash_;
  uint32_t longest_text_ = 0;
};

}  // namespace quipu
