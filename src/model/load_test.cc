// Files that are no model, or none that can run: each is refused with a sentence that says what is wrong with
// it.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <string>

#include "gguf/raw_gguf.h"
#include "model/model.h"
#include "model/plan_choices.h"
#include "model/tiny_model.h"

namespace quipu {
namespace {

using test::TinyModel;
using test::TinyTensor;

struct Loaded {
  std::vector<std::byte> bytes;
  std::unique_ptr<gguf::File> file;
  Result<std::unique_ptr<Model>> model;

  explicit Loaded(const TinyModel& m) : Loaded(m.bytes(), {}) {}
  Loaded(std::vector<std::byte> b, gguf::File::Options options) : bytes(std::move(b)) {
    auto f = gguf::File::parse(bytes, options);
    if (!f) throw std::runtime_error(f.error().message);
    file = std::move(*f);
    model = load_model(*file);
  }
};

Error failure(const TinyModel& m) {
  const Loaded loaded(m);
  return loaded.model ? Error{Code::kInternal, "(accepted)", {}} : loaded.model.error();
}

void expect_failure(const TinyModel& m, const std::string& text, Code code = Code::kCorrupt) {
  const Error e = failure(m);
  EXPECT_NE(e.message.find(text), std::string::npos) << e.message << "\nwanted: " << text;
  EXPECT_EQ(e.message.find('\n'), std::string::npos) << e.message;
  EXPECT_EQ(code_name(e.code), std::string(code_name(code))) << e.message;
}

void expect_accepted(const TinyModel& m) { EXPECT_EQ(failure(m).message, "(accepted)"); }

TinyModel with(const std::string& key, TinyModel::AddKey add, std::string arch = "llama") {
  TinyModel m;
  m.arch = std::move(arch);
  m.keys[key] = std::move(add);
  return m;
}

TEST(Load, GoodModels) {
  expect_accepted({});
  expect_accepted({.arch = "granite", .tied = true, .bias = true, .rope_factors = true});
  expect_accepted({.type = TensorType::kQ8_0});
}

TEST(Load, Architecture) {
  expect_failure({.arch = "mamba"},
                 "the architecture 'mamba' is not supported yet (these are: llama, granite)",
                 Code::kUnsupported);
  expect_failure({.without = {"general.architecture"}},
                 "does not name its architecture (general.architecture)");
}

TEST(Load, RequiredKeys) {
  for (const char* key : {"context_length", "embedding_length", "block_count", "feed_forward_length",
                          "attention.head_count", "attention.layer_norm_rms_epsilon"}) {
    TinyModel m;
    m.without.insert(key);
    expect_failure(m, std::string("the file has no llama.") + key);
  }
  TinyModel m{.arch = "granite"};
  m.without.insert("logit_scale");
  expect_failure(m, "the file has no granite.logit_scale");
}

TEST(Load, KeysWithDefaults) {
  TinyModel m{.n_kv_heads = 4};
  m.without = {"attention.head_count_kv", "attention.key_length", "attention.value_length"};
  expect_accepted(m);  // as many KV heads as heads, 32 / 4 values each
}

TEST(Load, IntegersOutOfRange) {
  expect_failure(with("block_count", test::u32(0)), "llama.block_count is 0; it must be between 1 and 512");
  expect_failure(with("block_count", test::u32(513)),
                 "llama.block_count is 513; it must be between 1 and 512");
  expect_failure(with("context_length", test::u32(0)), "llama.context_length is 0");
  for (const char* key : {"embedding_length", "feed_forward_length", "attention.head_count"}) {
    expect_failure(with(key, test::u32(0)), std::string("llama.") + key + " is 0; it must be between 1 and ");
    expect_failure(with(key, test::u32(0xffffffff)),
                   std::string("llama.") + key + " is 4294967295; it must be");
  }
  expect_failure(with("attention.head_count_kv", test::u32(0)), "llama.attention.head_count_kv is 0");
  expect_failure(with("attention.key_length", test::u32(4097)), "llama.attention.key_length is 4097");
  expect_failure(with("attention.value_length", test::u32(0)), "llama.attention.value_length is 0");
  expect_failure(with("rope.scaling.original_context_length", test::u32(0)), "original_context_length is 0");
  TinyModel heads = with("attention.head_count", test::u32(64));  // more than the 32 values of a row
  heads.without.insert("attention.key_length");
  expect_failure(heads, "the default of llama.attention.key_length (which the file does not have) is 0");
}

TEST(Load, KeysOfAnotherType) {
  expect_failure(with("block_count", test::f32(2)),
                 "metadata key 'llama.block_count' is a floating-point number; it must be an integer");
  expect_failure(with("block_count", test::text("2")), "is a string; it must be an integer");
  expect_failure(with("attention.layer_norm_rms_epsilon", test::u32(1)),
                 "it must be a floating-point number");
  expect_failure(with("rope.scaling.type", test::u32(1)), "it must be a string");
  expect_failure(with("rope.scaling.finetuned", test::u32(1), "granite"), "it must be true or false");
  TinyModel m = with("block_count", [](gguf::Writer& w, const std::string& key) { w.add_int32(key, -1); });
  expect_failure(m, "llama.block_count is -1");
  m.keys["block_count"] = [](gguf::Writer& w, const std::string& key) { w.add_uint64(key, ~uint64_t{0}); };
  expect_failure(m, "is 18446744073709551615, which is out of range");
  m.keys["block_count"] = [](gguf::Writer& w, const std::string& key) { w.add_uint64(key, 2); };
  expect_accepted(m);
}

TEST(Load, OneValueForEachLayer) {
  expect_accepted(with("attention.head_count_kv", test::i32s({2, 2})));
  expect_failure(with("attention.head_count_kv", test::i32s({2, 2, 2})),
                 "must have one integer for each of the 2 layers");
  expect_failure(with("attention.head_count_kv", test::i32s({})),
                 "must have one integer for each of the 2 layers");
  expect_failure(with("attention.head_count_kv", test::i32s({2, 0})),
                 "has the entry 0; it must be between 1 and");
  expect_failure(with("feed_forward_length", test::i32s({64, 32})),
                 "llama.feed_forward_length differs between layers, which llama does not support",
                 Code::kUnsupported);
}

TEST(Load, Heads) {
  expect_failure(with("attention.head_count_kv", test::u32(3)),
                 "4 query heads cannot share 3 KV heads evenly");
  expect_failure(with("attention.head_count_kv", test::u32(8)),
                 "4 query heads cannot share 8 KV heads evenly");
  TinyModel m = with("attention.head_count", test::u32(8192));
  m.keys["attention.head_count_kv"] = test::u32(8192);
  m.keys["attention.key_length"] = test::u32(4096);
  expect_failure(m, "8192 heads of 4096 values are too many");
}

TEST(Load, Rope) {
  expect_failure(with("rope.dimension_count", test::u32(4)),
                 "llama.rope.dimension_count is 4; it must be equal to the head size 8, and even");
  expect_accepted(with("rope.dimension_count", test::u32(4), "granite"));
  expect_accepted(with("rope.dimension_count", test::u32(0), "granite"));
  expect_failure(with("rope.dimension_count", test::u32(3), "granite"),
                 "is 3; it must be at most the head size 8");
  expect_failure(with("rope.dimension_count", test::u32(10), "granite"),
                 "is 10; it must be at most the head size 8");
  expect_failure({.head_dim_k = 7}, "is 7; it must be equal to the head size 7, and even");
  expect_failure(with("rope.freq_base", test::f32(0)), "llama.rope.freq_base must be positive");
  expect_failure(with("rope.freq_base", test::f32(-1)), "llama.rope.freq_base must be positive");
  expect_failure(with("rope.scaling.type", test::text("longrope")),
                 "rope scaling 'longrope' is not supported (none, linear, yarn are)", Code::kUnsupported);
  expect_failure(with("rope.scaling.factor", test::f32(-2)),
                 "llama.rope.scaling.factor is -2, which is no scale");
  expect_failure(with("rope.scale_linear", test::f32(1e-44f)), "llama.rope.scale_linear is");
  TinyModel m{.rope_factors = true};
  m.change_tensors = [](std::vector<TinyTensor>& t) { t.back().shape = {8}; };
  expect_failure(m, "tensor 'rope_freqs.weight' has the shape 8 x 1 x 1 x 1; 4 x 1 x 1 x 1 was expected");
}

TEST(Load, NumbersThatAreNone) {
  for (const float bad : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()})
    for (const char* key : {"attention.layer_norm_rms_epsilon", "rope.freq_base", "rope.scaling.factor",
                            "rope.scaling.attn_factor", "attention.scale", "logit_scale", "residual_scale"})
      expect_failure(with(key, test::f32(bad), "granite"),
                     std::string("granite.") + key + " is not a finite number");
  expect_failure(with("attention.layer_norm_rms_epsilon", test::f32(-1e-5f)), "must not be negative");
}

TEST(Load, WhatIsNotBuiltYet) {
  expect_failure(
      with("expert_count", test::u32(8)),
      "mixture-of-experts models (llama with 8 experts) are not supported yet (dense llama and granite are)",
      Code::kUnsupported);
  expect_failure(with("expert_count", test::u32(1025)),
                 "llama.expert_count is 1025; it must be between 0 and 1024");
  expect_accepted(with("expert_count", test::u32(0)));
  expect_failure(with("attention.causal", test::boolean(false)), "models whose tokens see later ones",
                 Code::kUnsupported);
  TinyModel m;
  m.change_tensors = [](std::vector<TinyTensor>& t) { t.push_back({"blk.0.attn_q.scale", {1}}); };
  expect_failure(m, "separate scale are not supported yet (tensor 'blk.0.attn_q.scale')", Code::kUnsupported);
}

TEST(Load, EveryTensorIsNeeded) {
  for (const TinyTensor& t : TinyModel{}.tensors()) {
    if (t.name == "output.weight") continue;  // then the embedding serves
    TinyModel m;
    m.without.insert(t.name);
    expect_failure(m, "the file has no tensor '" + t.name + "'");
  }
}

TEST(Load, EveryTensorHasItsShape) {
  const TinyModel good{.bias = true, .rope_factors = true};
  const auto tensors = good.tensors();
  for (size_t i = 0; i < tensors.size(); ++i)
    for (size_t d = 0; d < tensors[i].shape.size(); ++d) {
      TinyModel m = good;
      m.change_tensors = [&](std::vector<TinyTensor>& t) { t[i].shape[d] += 32; };
      const Error e = failure(m);
      if (i == 0 && d == 1) continue;  // the vocabulary's size: what does not fit then is the output layer
      EXPECT_NE(e.message.find("'" + tensors[i].name + "' has the shape"), std::string::npos) << e.message;
      EXPECT_NE(e.message.find("was expected"), std::string::npos) << e.message;
    }
  TinyModel more = good;
  more.change_tensors = [](std::vector<TinyTensor>& t) { t[0].shape.push_back(2); };
  expect_failure(more,
                 "tensor 'token_embd.weight' has the shape 32 x 40 x 2 x 1; 32 x 40 x 1 x 1 was expected");
  more.change_tensors = [](std::vector<TinyTensor>& t) { t[0].shape[1] = 0; };
  expect_failure(more, "tensor 'token_embd.weight' has 0 rows");
}

TEST(Load, EveryTensorHasATypeThatIsComputed) {
  const TinyModel good{.bias = true};
  const auto tensors = good.tensors();
  for (size_t i = 0; i < tensors.size(); ++i) {
    TinyModel m = good;
    m.change_tensors = [&](std::vector<TinyTensor>& t) { t[i].type = static_cast<TensorType>(28); };
    expect_failure(m,
                   "tensor '" + tensors[i].name +
                       "' is quantised as F64, which is not supported yet (these are: F32, F16, "
                       "BF16, Q4_0, Q4_1, Q8_0, Q4_K, Q6_K)",
                   Code::kUnsupported);
  }
  TinyModel m = good;
  m.type = static_cast<TensorType>(20);
  expect_failure(m, "'token_embd.weight' is quantised as IQ4_NL, which is not supported yet",
                 Code::kUnsupported);
}

TEST(Load, LayersBeyondTheLast) {
  TinyModel m{.n_layers = 3};
  m.keys["block_count"] = test::u32(2);
  expect_failure(
      m,
      "tensor 'blk.2.attn_norm.weight' is of layer 2, but the file says that it has 2 layers (block_count)");
  m.keys["block_count"] = test::u32(4);
  expect_failure(m, "the file has no tensor 'blk.3.attn_norm.weight'");
  TinyModel extra;  // a newer file: a warning
  extra.change_tensors = [](std::vector<TinyTensor>& t) {
    t.push_back({"blk.1.something.weight", {4}});
    t.push_back({"blk.x.something.weight", {4}});
    t.push_back({"blk.99", {4}});
  };
  expect_accepted(extra);
}

TEST(Load, VocabularyOfAnotherSize) {
  const auto tokens = [](size_t n) {
    return [n](gguf::Writer& w, const std::string& key) {
      std::vector<std::string> texts;
      for (size_t i = 0; i < n; ++i) texts.push_back("t" + std::to_string(i));
      w.add_strings(key, texts);
    };
  };
  expect_accepted(with("tokenizer.ggml.tokens", tokens(40)));
  expect_failure(with("tokenizer.ggml.tokens", tokens(41)),
                 "tensor 'token_embd.weight' has 40 rows, but the vocabulary has 41 tokens");
  expect_failure(with("tokenizer.ggml.tokens", tokens(39)), "but the vocabulary has 39 tokens");
  // An unknown tokenizer is nobody's business here.
  TinyModel m = with("tokenizer.ggml.tokens", tokens(40));
  m.keys["tokenizer.ggml.model"] = test::text("from-mars");
  expect_accepted(m);
}

// A header is enough for a plan; computing with it is an error, not a fault.
TEST(Load, HeaderAlone) {
  const TinyModel m{.type = TensorType::kQ8_0, .bias = true, .rope_factors = true};
  std::vector<std::byte> bytes = m.bytes();
  const Loaded whole(m);
  ASSERT_TRUE(whole.model);
  const auto header = static_cast<size_t>(whole.file->tensors()[0].data.data() - whole.bytes.data());
  bytes.resize(header);
  const Loaded cut(std::move(bytes), {.require_tensor_data = false});
  ASSERT_TRUE(cut.model) << cut.model.error().message;
  EXPECT_EQ((*cut.model)->shape(2).workspace_bytes, (*whole.model)->shape(2).workspace_bytes);
  EXPECT_EQ(count_parameters(*cut.file), count_parameters(*whole.file));
  EXPECT_EQ(quantization_name(*cut.file), "Q8_0");

  auto pool = ThreadPool::create(1);
  memory::Ledger ledger;
  auto arena =
      memory::Arena::create((*cut.model)->shape(1).workspace_bytes, memory::Category::kWorkspace, ledger);
  auto workspace = (*cut.model)->make_workspace(*arena, 1);
  ASSERT_TRUE(workspace);
  const auto layouts = (*cut.model)->kv_layouts({});
  const int32_t token = 1;
  const auto done =
      (*cut.model)->forward({**pool, **workspace, layouts}, {std::span(&token, 1), {}, {}}, nullptr);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().message, "the model was opened without its weights");
}

// The largest numbers that a header alone can claim make plans that fit nowhere, and nothing undefined.
TEST(Load, HugeClaims) {
  const TinyModel shapes[] = {{.n_layers = 512,
                               .n_embd = 1 << 24,
                               .n_heads = 4095,
                               .n_kv_heads = 4095,
                               .head_dim_k = 4096,
                               .head_dim_v = 4096,
                               .n_ff = 1 << 24,
                               .n_vocab = (1 << 24) - 1},
                              {.n_layers = 1,
                               .n_embd = 1,
                               .n_heads = (1 << 23) - 1,
                               .n_kv_heads = 1,
                               .head_dim_k = 2,
                               .head_dim_v = 1,
                               .n_ff = 1,
                               .n_vocab = 1},
                              {.n_layers = 1,
                               .n_embd = 1,
                               .n_heads = (1 << 23) - 1,
                               .n_kv_heads = (1 << 23) - 1,
                               .head_dim_k = 2,
                               .head_dim_v = 1,
                               .n_ff = 1,
                               .n_vocab = 1}};
  for (const TinyModel& m : shapes) {
    gguf::test::Raw raw, table;
    uint64_t offset = 0;
    const auto tensors = m.tensors();
    for (const TinyTensor& t : tensors) {
      table.tensor(t.name, t.shape, static_cast<int32_t>(TensorType::kF16), offset);
      uint64_t bytes = 2;
      for (const int64_t n : t.shape) bytes *= static_cast<uint64_t>(n);
      offset += (bytes + 31) / 32 * 32;
    }
    raw.header(tensors.size(), 10).text("general.architecture", "llama");
    const auto count = [&raw](const char* key, int64_t v) { raw.scalar(key, 11, v); };
    count("llama.context_length", int64_t{1} << 40);
    count("llama.embedding_length", m.n_embd);
    count("llama.block_count", m.n_layers);
    count("llama.feed_forward_length", m.n_ff);
    count("llama.attention.head_count", m.n_heads);
    count("llama.attention.head_count_kv", m.n_kv_heads);
    count("llama.attention.key_length", m.head_dim_k);
    count("llama.attention.value_length", m.head_dim_v);
    raw.scalar("llama.attention.layer_norm_rms_epsilon", 6, 1e-5f).raw(table.str());
    const auto* p = reinterpret_cast<const std::byte*>(raw.str().data());
    const Loaded loaded({p, p + raw.str().size()}, {.require_tensor_data = false});
    ASSERT_TRUE(loaded.model) << loaded.model.error().message;
    EXPECT_GT((*loaded.model)->shape(64).workspace_bytes, uint64_t{1} << 30);
    memory::RuntimeOptions options;
    options.n_ctx = int64_t{1} << 40;
    options.n_parallel = 256;
    EXPECT_EQ(memory::fits(memory::plan((*loaded.model)->shape(64), options), options, uint64_t{1} << 40),
              memory::Fit::kNo);
  }
}

TEST(Load, Names) {
  EXPECT_EQ(quantization_name(*Loaded(TinyModel{.type = TensorType::kF16}).file), "F16");
  TinyModel m;
  const Loaded f32(m);
  EXPECT_EQ(quantization_name(*f32.file), "F32");
  EXPECT_EQ(count_parameters(*f32.file),
            2 * 32 * 40 + 32 + 2 * (2 * 32 + 2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 64));
}

TEST(Load, NoAdviceToTakeTheFileThatItIs) {
  // Its embedding is finer than that of most files of its name.
  const Loaded m(TinyModel{.type = TensorType::kQ4_1, .change_tensors = [](std::vector<TinyTensor>& all) {
                             all.front().type = TensorType::kF32;
                           }});
  ASSERT_EQ(quantization_name(*m.file), "Q4_1");
  std::vector<std::string> names;
  for (const auto& f : plan_choices(*m.file).files) names.push_back(f.name);
  EXPECT_EQ(std::ranges::count(names, "Q4_0"), 1);
  EXPECT_EQ(std::ranges::count(names, "Q4_1"), 0);
}

TEST(Load, CacheTypesToChooseBetweenTakeLessAndLess) {
  int64_t before = 1000;
  for (const auto& kv : kv_choices()) {
    EXPECT_LT(kv.k_bytes_per_32 + kv.v_bytes_per_32, before) << kv.name;
    before = kv.k_bytes_per_32 + kv.v_bytes_per_32;
  }
  EXPECT_EQ(before, 36);
  ASSERT_EQ(kv_choices().size(), 4u);
  EXPECT_EQ(kv_choices()[2].name, "q8_0:q4_0");
}

}  // namespace
}  // namespace quipu
