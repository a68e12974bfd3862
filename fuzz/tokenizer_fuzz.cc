// Any text through vocabularies that can say everything, and any vocabulary at all. The first byte chooses.
#include <fuzzer/FuzzedDataProvider.h>
#include <spdlog/spdlog.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gguf/file.h"
#include "gguf/writer.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/utf8.h"

namespace {

using quipu::Token;
using quipu::Tokenizer;
using quipu::Utf8Stream;
using quipu::gguf::File;
using quipu::gguf::Writer;

constexpr const char* kRules[] = {"gpt-2",  "llama-bpe",   "qwen2",       "smollm",
                                  "refact", "chatglm-bpe", "jina-v2-code"};
constexpr size_t kRulesWithoutStripping = 5;  // <mask> of the last swallows white space

void require(bool condition) {
  if (!condition) std::abort();
}

// The parts in the order in which they depend on each other.
struct Vocabulary {
  std::vector<std::byte> bytes;
  std::unique_ptr<File> file;
  std::unique_ptr<Tokenizer> tokenizer;  // null: refused, with a sentence

  explicit Vocabulary(std::vector<std::byte> b) : bytes(std::move(b)) {
    auto parsed = File::parse(bytes, {});
    if (!parsed) return;
    file = std::move(*parsed);
    auto loaded = Tokenizer::load(*file);
    if (loaded)
      tokenizer = std::move(*loaded);
    else
      require(!loaded.error().message.empty() && loaded.error().message.find('\n') == std::string::npos);
  }
};

void begin(Writer& w, std::string_view rule) {
  w.add_string("general.architecture", "llama");
  w.add_string("tokenizer.ggml.model", "gpt2");
  w.add_string("tokenizer.ggml.pre", rule);
}

// All bytes, some words and some special tokens.
Vocabulary complete(std::string_view rule) {
  Writer w;
  begin(w, rule);
  std::vector<std::string> tokens, merges;
  std::vector<int32_t> types;
  const auto add = [&](std::string text, int32_t type) {
    tokens.push_back(std::move(text));
    types.push_back(type);
  };
  for (unsigned b = 0; b < 256; ++b) add(std::string(quipu::letter_of_byte(static_cast<uint8_t>(b))), 1);
  const auto join = [&](const std::string& left, const std::string& right) {
    merges.push_back(left + " " + right);
    add(left + right, 1);
  };
  join("a", "a"), join("aa", "aa"), join("a", "b"), join("ab", "a"), join("\u0120", "\u0120"),
      join("\u0120", "a");
  join("\u010A", "\u010A"), join("1", "2"), join("12", "3"), join("\u00F0", "\u0141"), join("'", "s");
  add("<|im_end|>", 3), add("<|im_end|>x", 3), add("<|", 4), add("|>", 4), add("<unk>", 2);
  w.add_strings("tokenizer.ggml.tokens", tokens);
  w.add_int32s("tokenizer.ggml.token_type", types);
  w.add_strings("tokenizer.ggml.merges", merges);
  w.add_uint32("tokenizer.ggml.bos_token_id", 256);
  w.add_uint32("tokenizer.ggml.eos_token_id", 257);
  w.add_bool("tokenizer.ggml.add_eos_token", true);
  return Vocabulary(w.bytes());
}

bool is_whole(std::string_view text) {  // nothing invalid and nothing overlong; surrogates do not come out
  std::string buffer;
  return quipu::normalise_utf8(text, buffer).data() == text.data() && buffer.empty();
}

// The pieces as a server streams them: never half a character, and the same text however they are cut.
void stream(const std::vector<std::string>& pieces) {
  Utf8Stream one_by_one, at_once;
  std::string joined, streamed;
  for (const std::string& p : pieces) {
    const std::string now = one_by_one.push(p);
    require(now.empty() || is_whole(now));
    streamed += now;
    joined += p;
  }
  streamed += one_by_one.finish();
  std::string whole = at_once.push(joined);
  whole += at_once.finish();
  require(streamed == whole);
}

void check(const Tokenizer& t, std::string_view text, bool nothing_is_lost) {
  for (const bool parse_special : {false, true}) {
    const std::vector<Token> ids = t.encode(text, false, parse_special);
    std::vector<std::string> pieces;
    std::string joined;
    for (const Token id : ids) {
      require(id >= 0 && id < t.size());
      require(parse_special || !t.is_control(id) || !nothing_is_lost);
      pieces.push_back(t.piece(id, true));
      joined += pieces.back();
      (void)t.piece(id, false);
    }
    if (nothing_is_lost) {
      std::string buffer;
      require(joined == quipu::normalise_utf8(text, buffer));
    }
    stream(pieces);
    (void)t.decode(ids, false, true);
    (void)t.decode(ids, true, false);

    std::vector<Token> all = t.encode(text, true, parse_special);
    if (t.special().add_bos && t.special().bos) {
      require(!all.empty() && all.front() == *t.special().bos);
      all.erase(all.begin());
    }
    if (t.special().add_eos && t.special().eos) {
      require(!all.empty() && all.back() == *t.special().eos);
      all.pop_back();
    }
    require(all == ids);
  }
}

void any_ids(const Tokenizer& t, std::string_view data) {
  std::vector<Token> ids;
  std::vector<std::string> pieces;
  for (size_t i = 0; i + 1 < data.size(); i += 2) {
    const auto high = static_cast<int8_t>(data[i]);
    ids.push_back(static_cast<Token>(high * 256 + static_cast<uint8_t>(data[i + 1])));
    pieces.push_back(t.piece(ids.back(), i % 4 == 0));
    (void)t.text(ids.back());
    (void)t.is_end_of_generation(ids.back());
  }
  stream(pieces);
  (void)t.decode(ids, true, true);
}

// A vocabulary made of the input.
Vocabulary invented(FuzzedDataProvider& in) {
  Writer w;
  begin(w, kRules[in.ConsumeIntegralInRange<size_t>(0, std::size(kRules) - 1)]);
  const auto text = [&] {
    std::string s = in.ConsumeRandomLengthString(24);
    if (!in.ConsumeBool()) return s;
    std::string letters;  // written in the byte alphabet, as real ones are
    quipu::append_letters(letters, s);
    return letters;
  };
  std::vector<std::string> tokens, merges;
  std::vector<int32_t> types;
  for (size_t n = in.ConsumeIntegralInRange<size_t>(0, 40); n > 0; --n) {
    tokens.push_back(text());
    types.push_back(in.ConsumeIntegralInRange<int32_t>(-1, 7));
  }
  for (size_t n = in.ConsumeIntegralInRange<size_t>(0, 40); n > 0; --n)
    merges.push_back(in.ConsumeBool() || tokens.empty()
                         ? in.ConsumeRandomLengthString(24)
                         : in.PickValueInArray({tokens.front(), tokens.back()}) + " " + text());
  w.add_strings("tokenizer.ggml.tokens", tokens);
  if (in.ConsumeBool()) w.add_int32s("tokenizer.ggml.token_type", types);
  w.add_strings("tokenizer.ggml.merges", merges);
  for (const char* key : {"bos", "eos", "eot", "padding", "fim_pad"})
    if (in.ConsumeBool())
      w.add_int32(std::string("tokenizer.ggml.") + key + "_token_id",
                  in.ConsumeIntegralInRange<int32_t>(-1, 50));
  for (const char* key : {"add_bos_token", "add_eos_token", "add_space_prefix"})
    if (in.ConsumeBool()) w.add_bool(std::string("tokenizer.ggml.") + key, in.ConsumeBool());
  if (in.ConsumeBool())
    w.add_string("general.name", in.ConsumeBool() ? "Phi-3" : in.ConsumeRandomLengthString(8));
  return Vocabulary(w.bytes());
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  spdlog::set_level(spdlog::level::off);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const uint8_t kind = data[0];
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (kind < std::size(kRules)) {
    static const std::vector<Vocabulary> known = [] {
      std::vector<Vocabulary> out;
      for (const char* rule : kRules) out.push_back(complete(rule));
      return out;
    }();
    require(known[kind].tokenizer != nullptr);
    check(*known[kind].tokenizer, rest, kind < kRulesWithoutStripping);
    any_ids(*known[kind].tokenizer, rest);
  } else if (kind < 0x80) {
    FuzzedDataProvider in(data + 1, size - 1);
    const Vocabulary v = invented(in);
    const std::string text = in.ConsumeRemainingBytesAsString();
    if (v.tokenizer == nullptr) return 0;
    check(*v.tokenizer, text, false);
    any_ids(*v.tokenizer, text);
  } else {  // a file as it comes
    const auto* p = reinterpret_cast<const std::byte*>(rest.data());
    const Vocabulary v({p, p + rest.size()});
    if (v.tokenizer == nullptr) return 0;
    check(*v.tokenizer, rest.substr(rest.size() / 2), false);
  }
  return 0;
}
