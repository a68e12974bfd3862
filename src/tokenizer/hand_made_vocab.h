// For tests: vocabularies put together by hand.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/byte_alphabet.h"
#include "tokenizer/test_vocabs.h"
#include "tokenizer/tokenizer.h"

namespace quipu::test {

using Ids = std::vector<Token>;

constexpr int32_t kNormalType = 1, kUnknownType = 2, kControlType = 3, kUserType = 4, kUnusedType = 5,
                  kByteType = 6;

// All 256 bytes, ids 0 to 255, in the order of the bytes.
inline SmallVocab bytes_vocab() {
  SmallVocab v;
  for (unsigned b = 0; b < 256; ++b) v.tokens.emplace_back(letter_of_byte(static_cast<uint8_t>(b)));
  v.types.assign(256, kNormalType);
  return v;
}

inline Token add(SmallVocab& v, const std::string& text, int32_t type = kNormalType) {
  v.tokens.push_back(text);
  v.types.push_back(type);
  return static_cast<Token>(v.tokens.size() - 1);
}

inline Token join(SmallVocab& v, const std::string& left, const std::string& right) {
  v.merges.push_back(left + " " + right);
  return add(v, left + right);
}

inline Ids bytes_of(std::string_view text) {
  Ids out;
  for (const char c : text) out.push_back(static_cast<unsigned char>(c));
  return out;
}

inline Ids operator+(Ids a, const Ids& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

inline Ids encode(const Loaded& t, std::string_view text, bool parse_special = true) {
  return t->encode(text, false, parse_special);
}

inline std::string failure(const gguf::Writer& w, Code* code = nullptr) {
  const Loaded loaded(w);
  if (loaded.tokenizer) return "(accepted)";
  if (code != nullptr) *code = loaded.tokenizer.error().code;
  EXPECT_EQ(loaded.tokenizer.error().message.find('\n'), std::string::npos);
  return loaded.tokenizer.error().message;
}

inline std::string failure(const SmallVocab& v) {
  const Loaded loaded(v.bytes());
  return loaded.tokenizer ? "(accepted)" : loaded.tokenizer.error().message;
}

}  // namespace quipu::test
