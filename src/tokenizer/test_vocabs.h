// Vocabularies and vectors for tests. The files lie in testdata/tokenizer, or in another folder of the same
// layout that the environment variable QUIPU_TOKENIZER_VECTORS names; each may be packed (NAME.xz).
#pragma once

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/test_data.h"
#include "gguf/file.h"
#include "gguf/writer.h"
#include "tokenizer/tokenizer.h"

namespace quipu::test {

inline std::string vector_folder() {
  const char* other = std::getenv("QUIPU_TOKENIZER_VECTORS");
  return other != nullptr ? other : QUIPU_TESTDATA "/tokenizer";
}

inline bool has_vectors(const std::string& name) {
  const std::string path = vector_folder() + "/" + name;
  return std::filesystem::exists(path) || std::filesystem::exists(path + ".xz");
}

inline std::string read_vectors(const std::string& name) {
  const std::string path = vector_folder() + "/" + name;
  return std::filesystem::exists(path) ? read_file(path) : read_xz(path + ".xz");
}

inline std::unique_ptr<gguf::File> parse(const std::vector<std::byte>& bytes) {
  auto file = gguf::File::parse(bytes, {});
  if (!file) throw std::runtime_error(file.error().message);
  return std::move(*file);
}

// A file's bytes, the file and its tokenizer, in the order in which they depend on each other.
struct Loaded {
  std::vector<std::byte> bytes;
  std::unique_ptr<gguf::File> file;
  Result<std::unique_ptr<Tokenizer>> tokenizer;

  explicit Loaded(std::vector<std::byte> b)
      : bytes(std::move(b)), file(parse(bytes)), tokenizer(Tokenizer::load(*file)) {}
  explicit Loaded(const gguf::Writer& writer) : Loaded(writer.bytes()) {}
  const Tokenizer& operator*() const {
    if (!tokenizer) throw std::runtime_error(tokenizer.error().message);
    return **tokenizer;
  }
  const Tokenizer* operator->() const { return &**this; }
};

inline std::vector<std::byte> vocab_bytes(const std::string& name) {
  const std::string content = read_vectors("vocabs/" + name + ".gguf");
  const auto* p = reinterpret_cast<const std::byte*>(content.data());
  return {p, p + content.size()};
}

// A small vocabulary made by hand. Types and merges may be left out.
struct SmallVocab {
  std::vector<std::string> tokens;
  std::vector<int32_t> types;
  std::vector<std::string> merges;
  std::string pre = "gpt-2";
  std::function<void(gguf::Writer&)> more = [](gguf::Writer&) {};

  std::vector<std::byte> bytes() const {
    gguf::Writer w;
    w.add_string("general.architecture", "llama");
    w.add_string("tokenizer.ggml.model", "gpt2");
    w.add_string("tokenizer.ggml.pre", pre);
    w.add_strings("tokenizer.ggml.tokens", tokens);
    if (!types.empty()) w.add_int32s("tokenizer.ggml.token_type", types);
    w.add_strings("tokenizer.ggml.merges", merges);
    more(w);
    return w.bytes();
  }
};

// "text", or bytes from "text_hex".
inline std::string text_of(const nlohmann::json& j, const std::string& key) {
  const auto from_hex = [](const std::string& hex) {
    std::string out;
    for (size_t i = 0; i + 1 < hex.size(); i += 2)
      out += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
    return out;
  };
  if (j.contains(key)) {
    const auto& v = j[key];
    return v.is_object() ? from_hex(v["hex"]) : v.get<std::string>();
  }
  return from_hex(j.at(key + "_hex").get<std::string>());
}

}  // namespace quipu::test
