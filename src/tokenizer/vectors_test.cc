// What the reference implementation does with real vocabularies: text to ids, ids to text, every piece, every
// rule.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/test_vocabs.h"

namespace quipu {
namespace {

using nlohmann::json;
using test::Loaded;
using test::text_of;

json vocab_info() { return json::parse(test::read_vectors("vocab-info.json")); }

std::vector<std::string> vocab_names() {
  std::vector<std::string> names;
  const json all = vocab_info();
  for (const auto& [name, info] : all.items()) names.push_back(name);
  return names;
}

std::string printable(const json& j) { return j.dump().substr(0, 400); }

void check_case(const Tokenizer& tokenizer, const json& c) {
  const std::string text = text_of(c, "text");
  const bool special = c["special"], add_special = c["add_special"];
  const std::vector<Token> ids = tokenizer.encode(text, add_special, special);
  if (c.value("aborts", false)) {
    // The reference gives up on these; here each byte that cannot be decoded is a replacement character.
    std::string replaced;
    for (size_t i = 0; i < text.size(); ++i) replaced += "\uFFFD";
    EXPECT_EQ(ids, tokenizer.encode(replaced, add_special, special)) << printable(c);
    return;
  }
  EXPECT_EQ(ids, c["ids"].get<std::vector<Token>>()) << printable(c);
  const std::string detok = text_of(c, "detok");
  EXPECT_EQ(tokenizer.decode(ids, false, true), detok) << printable(c);
  const bool has_clean = c.contains("detok_clean") || c.contains("detok_clean_hex");
  EXPECT_EQ(tokenizer.decode(ids, true, false), has_clean ? text_of(c, "detok_clean") : detok)
      << printable(c);
}

// Of coreutils, so that the tests need no library for it.
std::string sha256(const std::string& bytes) {
  const std::string path = testing::TempDir() + "/quipu-pieces." + std::to_string(getpid());
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  char digest[65] = {};
  FILE* pipe = popen(("sha256sum < '" + path + "'").c_str(), "r");
  const bool read = pipe != nullptr && fread(digest, 1, 64, pipe) == 64;
  if (pipe != nullptr) pclose(pipe);
  std::filesystem::remove(path);
  return read ? digest : "sha256sum failed";
}

class Vectors : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    loaded_ = std::make_unique<Loaded>(test::vocab_bytes(GetParam()));
    if (!loaded_->tokenizer) {
      ASSERT_EQ(loaded_->tokenizer.error().code, Code::kUnsupported) << loaded_->tokenizer.error().message;
      // The vocabularies in the repository all have tokenizers that are there; other folders may hold more.
      ASSERT_NE(std::getenv("QUIPU_TOKENIZER_VECTORS"), nullptr) << loaded_->tokenizer.error().message;
      GTEST_SKIP() << loaded_->tokenizer.error().message;
    }
  }
  const Tokenizer& tokenizer() const { return **loaded_; }
  std::unique_ptr<Loaded> loaded_;
};

TEST_P(Vectors, Cases) {
  size_t n = 0;
  for (const std::string& line : test::lines(test::read_vectors("vectors/" + GetParam() + ".jsonl"))) {
    check_case(tokenizer(), json::parse(line));
    ++n;
  }
  EXPECT_GT(n, 500u);
  RecordProperty("cases", static_cast<int>(n));
}

TEST_P(Vectors, TextsOfTheReference) {
  if (!test::has_vectors("vocabs/" + GetParam() + ".inp"))
    GTEST_SKIP() << "there are none for this vocabulary";
  const std::string in = test::read_vectors("vocabs/" + GetParam() + ".inp");
  const std::string out = test::read_vectors("vocabs/" + GetParam() + ".out");
  const std::string separator = "\n__ggml_vocab_test__\n";
  size_t in_at = 0, out_at = 0;
  for (;;) {
    const size_t in_end = in.find(separator, in_at), out_end = std::min(out.find('\n', out_at), out.size());
    const std::string text = in.substr(in_at, in_end == std::string::npos ? in_end : in_end - in_at);
    std::string ids;
    for (const Token id : tokenizer().encode(text, false, false))
      ids += fmt::format("{}{}", ids.empty() ? "" : " ", id);
    std::string wanted = out.substr(out_at, out_end - out_at);
    wanted.erase(0, wanted.find_first_not_of(' '));
    wanted.erase(wanted.find_last_not_of(' ') + 1);
    EXPECT_EQ(ids, wanted) << json(text).dump(-1, ' ', false, json::error_handler_t::replace);
    if (in_end == std::string::npos) break;
    in_at = in_end + separator.size();
    ASSERT_LT(out_end, out.size());
    out_at = out_end + 1;
  }
}

TEST_P(Vectors, Pieces) {
  for (const std::string& line : test::lines(test::read_vectors("pieces/" + GetParam() + ".jsonl"))) {
    const json c = json::parse(line);
    const auto ids = c["ids"].get<std::vector<Token>>();
    ASSERT_EQ(ids.size(), c["pieces"].size());
    Utf8Stream stream;
    std::string joined, streamed;
    for (size_t i = 0; i < ids.size(); ++i) {
      const json piece = {{"p", c["pieces"][i]}};
      EXPECT_EQ(tokenizer().piece(ids[i], true), text_of(piece, "p")) << printable(c);
      joined += text_of(piece, "p");
      const std::string now = stream.push(tokenizer().piece(ids[i], true));
      EXPECT_NO_THROW((void)json(now).dump()) << "half a character";
      streamed += now;
    }
    EXPECT_EQ(tokenizer().decode(ids, false, true), text_of(c, "detok")) << printable(c);
    streamed += stream.finish();
    Utf8Stream at_once;
    std::string whole = at_once.push(joined);
    whole += at_once.finish();
    EXPECT_EQ(streamed, whole);
  }
}

TEST_P(Vectors, EveryPieceAndTheSpecialTokens) {
  const json info = vocab_info()[GetParam()];
  ASSERT_EQ(tokenizer().size(), info["n_tokens"].get<int>());
  for (const bool special : {false, true}) {
    std::string all;
    for (Token id = 0; id < tokenizer().size(); ++id) {
      const std::string piece = tokenizer().piece(id, special);
      for (int shift = 0; shift < 32; shift += 8) all += static_cast<char>(piece.size() >> shift);
      all += piece;
    }
    EXPECT_EQ(sha256(all), info["pieces_sha256"][special ? "special" : "plain"].get<std::string>());
  }

  std::map<std::string, std::string> ends;
  for (const Token id : tokenizer().end_of_generation()) {
    ends[std::to_string(id)] = tokenizer().text(id);
    EXPECT_TRUE(tokenizer().is_end_of_generation(id));
  }
  EXPECT_EQ(ends, (info["eog"].get<std::map<std::string, std::string>>()));

  const SpecialTokens& s = tokenizer().special();
  const auto check = [&](const char* name, std::optional<Token> id) {
    EXPECT_EQ(id.value_or(-1), info[name].get<int>()) << name;
  };
  check("bos", s.bos);
  check("eos", s.eos);
  check("sep", s.separator);
  check("pad", s.padding);
  check("mask", s.mask);
  check("fim_pre", s.fim_pre);
  check("fim_suf", s.fim_suf);
  check("fim_mid", s.fim_mid);
  check("fim_pad", s.fim_pad);
  check("fim_rep", s.fim_rep);
  check("fim_sep", s.fim_sep);
  EXPECT_EQ(s.add_bos, info["add_bos"].get<bool>());
  EXPECT_EQ(s.add_eos, info["add_eos"].get<bool>());
  EXPECT_EQ(s.add_sep, info["add_sep"].get<bool>());
}

TEST_P(Vectors, TakesLittleMemory) {
  // The texts stay in the file; what is beside them is a few tables. (llama-bpe has more than two rules per
  // token.)
  EXPECT_LT(tokenizer().memory_bytes(), static_cast<size_t>(tokenizer().size()) * 50 + 65536);
  RecordProperty("bytes", static_cast<int>(tokenizer().memory_bytes()));
}

TEST_P(Vectors, TakesThePlannedMemory) {
  const auto planned = static_cast<int64_t>(planned_tokenizer_bytes(*loaded_->file));
  EXPECT_LT(std::abs(planned - static_cast<int64_t>(tokenizer().memory_bytes())), 64 << 10);
}

INSTANTIATE_TEST_SUITE_P(Vocabularies, Vectors, testing::ValuesIn(vocab_names()), [](const auto& param) {
  std::string name = param.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

// The same vocabulary under each pre-tokenizer's name.
TEST(PreTokenizerVectors, EachRule) {
  std::map<std::string, std::vector<json>> cases;  // by vocabulary and rule
  for (const std::string& line : test::lines(test::read_vectors("pre.jsonl"))) {
    json c = json::parse(line);
    cases[c["vocab"].get<std::string>() + " " + c["pre"].get<std::string>()].push_back(std::move(c));
  }
  std::map<std::string, std::unique_ptr<gguf::File>> files;
  std::map<std::string, std::vector<std::byte>> bytes;
  int n = 0;
  for (const auto& [name, list] : cases) {
    const std::string vocab = list[0]["vocab"], pre = list[0]["pre"];
    if (find_pre_tokenizer(pre) == nullptr) continue;
    if (!files.contains(vocab)) {
      bytes[vocab] = test::vocab_bytes(vocab);
      files[vocab] = test::parse(bytes[vocab]);
    }
    gguf::Writer writer;
    for (const gguf::Entry& e : files[vocab]->entries())
      if (e.key != "tokenizer.ggml.pre") writer.add_entry(e);
    writer.add_string("tokenizer.ggml.pre", pre);
    const Loaded loaded(writer);
    ASSERT_TRUE(loaded.tokenizer) << name << ": " << loaded.tokenizer.error().message;
    SCOPED_TRACE(name);
    for (const json& c : list) check_case(*loaded, c), ++n;
  }
  EXPECT_GT(n, 3000);
}

TEST(PreTokenizerVectors, FlagsOfEachName) {
  int n = 0;
  for (const json& group : json::parse(test::read_vectors("pre-names.json"))) {
    for (const std::string name : group["names"]) {
      const PreTokenizer* pre = find_pre_tokenizer(name);
      if (pre == nullptr) continue;
      ++n;
      EXPECT_EQ(pre->has(PreTokenizer::kWholePieces), group["ignore_merges"].get<bool>()) << name;
      EXPECT_EQ(pre->has(PreTokenizer::kAddBos), group["add_bos"].get<bool>()) << name;
      EXPECT_EQ(pre->has(PreTokenizer::kAddSep), group["add_sep"].get<bool>()) << name;
      EXPECT_EQ(pre->has(PreTokenizer::kNoDefaultBos), group["no_bos"].get<bool>()) << name;
      EXPECT_EQ(pre->has(PreTokenizer::kCleanSpaces), group["clean_spaces"].get<bool>()) << name;
    }
  }
  EXPECT_GE(n, 50);
}

}  // namespace
}  // namespace quipu
