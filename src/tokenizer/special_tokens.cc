#include "tokenizer/special_tokens.h"

#include <algorithm>
#include <initializer_list>
#include <set>
#include <span>
#include <string>

#include "base/log.h"

namespace quipu {

namespace {

using Member = std::optional<Token> SpecialTokens::*;
using Texts = std::span<const std::string_view>;

struct Key {
  std::string_view key;
  Member member;
};

constexpr Key kKeys[] = {
    {"tokenizer.ggml.bos_token_id", &SpecialTokens::bos},
    {"tokenizer.ggml.eos_token_id", &SpecialTokens::eos},
    {"tokenizer.ggml.eot_token_id", &SpecialTokens::eot},
    {"tokenizer.ggml.eom_token_id", &SpecialTokens::eom},
    {"tokenizer.ggml.unknown_token_id", &SpecialTokens::unknown},
    {"tokenizer.ggml.seperator_token_id", &SpecialTokens::separator},  // spelt like this in the files
    {"tokenizer.ggml.padding_token_id", &SpecialTokens::padding},
    {"tokenizer.ggml.mask_token_id", &SpecialTokens::mask},
    {"tokenizer.ggml.fim_pre_token_id", &SpecialTokens::fim_pre},
    {"tokenizer.ggml.fim_suf_token_id", &SpecialTokens::fim_suf},
    {"tokenizer.ggml.fim_mid_token_id", &SpecialTokens::fim_mid},
    {"tokenizer.ggml.fim_pad_token_id", &SpecialTokens::fim_pad},
    {"tokenizer.ggml.fim_rep_token_id", &SpecialTokens::fim_rep},
    {"tokenizer.ggml.fim_sep_token_id", &SpecialTokens::fim_sep},
    // names of old files
    {"tokenizer.ggml.prefix_token_id", &SpecialTokens::fim_pre},
    {"tokenizer.ggml.suffix_token_id", &SpecialTokens::fim_suf},
    {"tokenizer.ggml.middle_token_id", &SpecialTokens::fim_mid},
};

// Where a vocabulary has several of a list, the first of the list is taken. (The reference takes whichever
// its hash table holds first; the set of end tokens, which is what counts, comes out the same.)
struct ByText {
  Member member;
  Texts texts;
};

constexpr std::string_view kEot[] = {
    "<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>",         "<|endoftext|>",     "<|end_of_text|>",
    "<EOT>",      "_<EOT>",     "[EOT]",   "<｜end▁of▁sentence｜>", "<end_of_utterance>"};
constexpr std::string_view kEom[] = {"<|eom_id|>"};
constexpr std::string_view kFimPre[] = {"<|fim_prefix|>",  "<fim-prefix>", "<fim_prefix>",
                                        "<｜fim▁begin｜>", "<PRE>",        "▁<PRE>",
                                        "<|code_prefix|>", "<|prefix|>"};
constexpr std::string_view kFimSuf[] = {"<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>",    "<｜fim▁hole｜>",
                                        "<SUF>",          "▁<SUF>",       "<|code_suffix|>", "<|suffix|>"};
constexpr std::string_view kFimMid[] = {"<|fim_middle|>", "<fim-middle>", "<fim_middle>",    "<｜fim▁end｜>",
                                        "<MID>",          "▁<MID>",       "<|code_middle|>", "<|middle|>"};
constexpr std::string_view kFimPad[] = {"<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"};
constexpr std::string_view kFimRep[] = {"<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>",
                                        "<reponame>"};
constexpr std::string_view kFimSep[] = {"<|file_sep|>"};

constexpr ByText kByText[] = {
    {&SpecialTokens::eot, kEot},        {&SpecialTokens::eom, kEom},
    {&SpecialTokens::fim_pre, kFimPre}, {&SpecialTokens::fim_suf, kFimSuf},
    {&SpecialTokens::fim_mid, kFimMid}, {&SpecialTokens::fim_pad, kFimPad},
    {&SpecialTokens::fim_rep, kFimRep}, {&SpecialTokens::fim_sep, kFimSep},
};

constexpr std::string_view kEnds[] = {
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|calls|>",
    "<end_of_turn>",
    "</s>",
    "<|eom_id|>",
    "<|endoftext|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<eos>",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<turn|>",
    "<|tool_response>",
    "[e~[",
    "<｜end▁of▁sentence｜>",
};

// Parts of an answer in the format of gpt-oss: always recognised, always shown.
constexpr std::string_view kHarmonyMarks[] = {"<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"};

bool contains_any(std::string_view text, std::initializer_list<std::string_view> parts) {
  return std::any_of(parts.begin(), parts.end(),
                     [text](std::string_view p) { return text.find(p) != std::string_view::npos; });
}

void add_attributes(Vocab& vocab, Token id, unsigned attributes) {
  vocab.set_attributes(id, vocab.attributes(id) | attributes);
}

void make_control(Vocab& vocab, Token id) {
  if (vocab.has(id, kControl)) return;
  spdlog::info("vocabulary: token {} '{}' looks like a control token and is treated as one", id,
               vocab.text(id));
  add_attributes(vocab, id, kControl);
}

Result<void> read_keys(const gguf::File& file, const Vocab& vocab, SpecialTokens& tokens) {
  for (const Key& k : kKeys) {
    auto& id = tokens.*k.member;
    if (id && !vocab.contains(*id)) id.reset();
    QUIPU_ASSIGN(const auto given, file.uint(k.key));
    if (!given) continue;
    if (*given < static_cast<uint64_t>(vocab.size()))
      id = static_cast<Token>(*given);
    else
      spdlog::warn("{} is {}, but there are {} tokens: ignored", k.key, *given, vocab.size());
  }
  const auto flag = [&](std::string_view key, bool& value) -> Result<void> {
    QUIPU_ASSIGN(const auto given, file.boolean(key));
    if (given) value = *given;
    return {};
  };
  QUIPU_TRY(flag("tokenizer.ggml.add_bos_token", tokens.add_bos));
  QUIPU_TRY(flag("tokenizer.ggml.add_eos_token", tokens.add_eos));
  QUIPU_TRY(flag("tokenizer.ggml.add_sep_token", tokens.add_sep));
  return {};
}

void find_by_text(Vocab& vocab, SpecialTokens& tokens) {
  for (const ByText& wanted : kByText) {
    auto& id = tokens.*wanted.member;
    for (const std::string_view text : wanted.texts) {
      if (id) break;
      id = vocab.find(text);
      if (id) make_control(vocab, *id);
    }
  }
}

// Models of two families name tokens as ends that for them only separate parts of an answer.
void remove_false_ends(Vocab& vocab, std::set<Token>& ends) {
  const auto has = [&](std::initializer_list<std::string_view> texts) {
    return std::any_of(texts.begin(), texts.end(), [&](std::string_view text) {
      const auto id = vocab.find(text);
      return id && ends.contains(*id);
    });
  };
  const auto remove = [&](std::string_view text, unsigned attributes) {
    const auto id = vocab.find(text);
    if (!id || ends.erase(*id) == 0) return;
    vocab.set_attributes(*id, attributes);
  };
  if (has({"<|call|>", "<|calls|>"}) && has({"<|return|>", "<|flush|>"})) remove("<|end|>", kUserDefined);
  if (has({"<|tool_response>", "<|plamo:eos|>"})) remove("</s>", kNormal);
}

std::vector<Token> find_ends(Vocab& vocab, const SpecialTokens& tokens) {
  std::set<Token> ends;
  const auto add = [&ends](std::optional<Token> id) {
    if (id) ends.insert(*id);
  };
  add(tokens.fim_pad);
  add(tokens.fim_rep);
  add(tokens.fim_sep);
  for (const std::string_view text : kEnds) {
    const auto id = vocab.find(text);
    add(id);
    if (id) make_control(vocab, *id);
  }
  for (const std::string_view text : kHarmonyMarks)
    if (const auto id = vocab.find(text)) vocab.set_attributes(*id, kUserDefined);
  add(tokens.eos);
  add(tokens.eot);
  add(tokens.eom);
  remove_false_ends(vocab, ends);
  return {ends.begin(), ends.end()};
}

void mark_unused(Vocab& vocab) {
  for (Token id = 0; id < vocab.size(); ++id)
    if (vocab.has(id, kControl) && vocab.text(id).find("unused") != std::string_view::npos)
      add_attributes(vocab, id, kUnused);
}

// No file says which tokens swallow the white space beside them; models are known by their names.
Result<void> mark_stripping(const gguf::File& file, std::string_view pre, Vocab& vocab) {
  QUIPU_ASSIGN(const auto general_name, file.string("general.name"));
  std::string name(general_name.value_or(""));
  for (char& c : name)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');

  const auto strip_left = [&vocab](std::string_view text) {
    if (const auto id = vocab.find(text)) add_attributes(vocab, *id, kStripLeft);
  };
  if (contains_any(pre, {"jina-v2-de", "jina-v2-es", "jina-v2-code"}) ||
      contains_any(file.architecture(), {"nomic-bert-moe", "jina-bert-v3"})) {
    strip_left("<mask>");
  } else if (contains_any(name, {"phi-3", "phi3"})) {
    for (Token id = 0; id < vocab.size(); ++id)
      if (vocab.has(id, kControl | kUserDefined | kUnknown)) add_attributes(vocab, id, kStripRight);
    if (const auto id = vocab.find("</s>")) add_attributes(vocab, *id, kStripRight);
    for (const std::string_view text : {"<unk>", "<s>", "<|endoftext|>"})
      if (const auto id = vocab.find(text))
        vocab.set_attributes(*id, vocab.attributes(*id) & ~unsigned{kStripRight});
  } else if (contains_any(name, {"modern-bert"})) {
    strip_left("[MASK]");
  }
  return {};
}

}  // namespace

Result<SpecialSet> load_special_tokens(const gguf::File& file, const SpecialTokens& defaults,
                                       std::string_view pre, Vocab& vocab) {
  SpecialSet set;
  set.tokens = defaults;
  QUIPU_TRY(read_keys(file, vocab, set.tokens));
  find_by_text(vocab, set.tokens);
  mark_unused(vocab);
  set.end_of_generation = find_ends(vocab, set.tokens);
  QUIPU_TRY(mark_stripping(file, pre, vocab));
  return set;
}

}  // namespace quipu
