// Shapes that no reference model has, against the same computation written plainly in double.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <numeric>

#include "gguf/temporary_folder.h"
#include "model/local_model.h"
#include "model/naive_decoder.h"

namespace quipu {
namespace {

using test::NaiveDecoder;
using test::TinyModel;
using test::TinyTensor;

std::vector<int32_t> some_tokens(size_t n, int64_t n_vocab) {
  std::vector<int32_t> ids(n);
  uint32_t state = 5;
  for (auto& id : ids) id = static_cast<int32_t>(((state = state * 1664525u + 1013904223u) >> 8) % n_vocab);
  return ids;
}

constexpr KvTypes kF32 = {kernels::KvType::kF32, kernels::KvType::kF32};

std::vector<float> logits(const TinyModel& m, const std::vector<int32_t>& tokens, bool exact = true,
                          KvTypes kv_types = kF32) {
  const gguf::test::TemporaryFolder folder;
  const std::vector<std::byte> bytes = m.bytes();
  const std::string path =
      folder.write("m.gguf", {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  LocalOptions options;
  options.n_ctx = static_cast<int64_t>(tokens.size());
  options.n_outputs = kMaxBatchRows;
  options.kv_types = kv_types;
  options.n_threads = 2;
  options.exact_activations = exact;
  auto model = LocalModel::open(path, options);
  if (!model) {
    ADD_FAILURE() << model.error().message;
    return {};
  }
  std::vector<float> out;
  EXPECT_TRUE((*model)->feed(tokens, 0, [&](int64_t, std::span<const float> row) {
    out.insert(out.end(), row.begin(), row.end());
  }));
  return out;
}

void expect_near(const NaiveDecoder& naive, size_t n_tokens = 70) {
  const auto tokens = some_tokens(n_tokens, naive.m.n_vocab);
  const auto want = naive.run(tokens);
  const auto got = logits(naive.m, tokens);
  ASSERT_EQ(got.size(), tokens.size() * static_cast<size_t>(naive.m.n_vocab));
  double worst = 0, sum = 0;
  for (size_t t = 0; t < tokens.size(); ++t)
    for (size_t i = 0; i < want[t].size(); ++i) {
      const double d = std::abs(want[t][i] - static_cast<double>(got[t * want[t].size() + i]));
      worst = std::max(worst, std::isnan(d) ? INFINITY : d);
      sum += want[t][i] * want[t][i];
    }
  EXPECT_LE(worst / std::sqrt(sum / static_cast<double>(got.size())), 1e-4);
}

TEST(Decoder, KeysAndValuesOfDifferentSizes) {
  for (const auto& [k, v] :
       std::vector<std::pair<int64_t, int64_t>>{{12, 20}, {20, 12}, {2, 1}, {32, 64}, {66, 34}, {64, 63}})
    for (const int64_t n_kv : {1, 3, 6}) {
      const TinyModel m{.n_heads = 6, .n_kv_heads = n_kv, .head_dim_k = k, .head_dim_v = v};
      SCOPED_TRACE(fmt::format("{} {} {}", k, v, n_kv));
      expect_near({.m = m, .n_rot = k});
    }
}

// Heads of a multiple of 64 are rotated before they are rounded to few bits, and what meets them is as well.
// One of them left out, in whatever place, is further from float32 than any rounding. So is, for what is
// large in one dimension, all of them left out.
TEST(Decoder, RotatedHeads) {
  struct Case {
    std::string_view outliers;  // in this bias, if any
    double most_q8, most_q4;    // the error of all logits, relative to their size
  };
  using kernels::KvType;
  const auto tokens = some_tokens(70, 40);
  for (const auto& [outliers, most_q8, most_q4] :
       {Case{"", 0.02, 0.25}, {"attn_k.bias", 0.025, 0.35}, {"attn_v.bias", 0.01, 0.05}})
    for (const auto& [k, v] :
         std::vector<std::pair<int64_t, int64_t>>{{64, 64}, {64, 128}, {128, 64}, {192, 192}, {256, 256}}) {
      TinyModel m{.n_heads = 6, .n_kv_heads = 2, .head_dim_k = k, .head_dim_v = v, .bias = !outliers.empty()};
      m.change_blocks = [&](const TinyTensor& t, std::span<std::byte> blocks) {
        if (outliers.empty() || !t.name.ends_with(outliers)) return;
        for (size_t i = 0; i < blocks.size(); i += 32 * sizeof(float)) {
          const float large = 20;
          std::memcpy(blocks.data() + i, &large, sizeof large);
        }
      };
      const auto want = logits(m, tokens);
      double power = 0;
      for (const float x : want) power += static_cast<double>(x) * x;
      for (const auto& [type_k, type_v] :
           std::vector<std::pair<KvType, KvType>>{{KvType::kQ8_0, KvType::kQ8_0},
                                                  {KvType::kQ4_0, KvType::kQ4_0},
                                                  {KvType::kQ8_0, KvType::kQ4_0},
                                                  {KvType::kQ4_0, KvType::kQ8_0},
                                                  {KvType::kF16, KvType::kQ4_0}}) {
        const bool q4 = type_k == KvType::kQ4_0 || type_v == KvType::kQ4_0;
        const auto got = logits(m, tokens, true, {type_k, type_v});
        ASSERT_EQ(got.size(), want.size());
        double error = 0;
        for (size_t i = 0; i < got.size(); ++i) error += std::pow(static_cast<double>(got[i]) - want[i], 2);
        EXPECT_LE(std::sqrt(error / power), q4 ? most_q4 : most_q8)
            << fmt::format("heads of {} and {}, types {} and {} {}", k, v, static_cast<int>(type_k),
                           static_cast<int>(type_v), outliers);
      }
    }
}

TEST(Decoder, OddSizes) {
  for (const TensorType type : {TensorType::kF32, TensorType::kF16, TensorType::kBF16})
    for (const int64_t n : {1, 7, 31, 33, 100}) {
      const TinyModel m{.n_embd = n, .n_ff = n + 2, .n_vocab = n + 5, .type = type};
      SCOPED_TRACE(fmt::format("{} {}", type_name(type), n));
      expect_near({.m = m, .n_rot = 8}, 9);
    }
  for (const TensorType type : {TensorType::kQ4_0, TensorType::kQ4_1, TensorType::kQ8_0}) {
    const TinyModel m{.n_embd = 96,
                      .n_heads = 5,
                      .n_kv_heads = 1,
                      .head_dim_k = 6,
                      .head_dim_v = 32,
                      .n_ff = 160,
                      .n_vocab = 33,
                      .type = type};
    SCOPED_TRACE(type_name(type));
    expect_near({.m = m, .n_rot = 6}, 9);
  }
  for (const TensorType type : {TensorType::kQ4_K, TensorType::kQ6_K}) {
    const TinyModel m{.n_embd = 768,
                      .n_heads = 2,
                      .n_kv_heads = 2,
                      .head_dim_k = 40,
                      .head_dim_v = 128,
                      .n_ff = 256,
                      .n_vocab = 9,
                      .type = type,
                      .spread = 0.05f};
    SCOPED_TRACE(type_name(type));
    expect_near({.m = m, .n_rot = 40}, 9);
  }
}

TEST(Decoder, GraniteScalesAndPartialRotation) {
  TinyModel m{.arch = "granite", .tied = true, .bias = true};
  m.keys = {{"embedding_scale", test::f32(12)},
            {"residual_scale", test::f32(0.22f)},
            {"logit_scale", test::f32(8)},
            {"attention.scale", test::f32(0.5f)},
            {"rope.dimension_count", test::u32(4)}};
  NaiveDecoder naive{.m = m,
                     .n_rot = 4,
                     .attention_scale = 0.5,
                     .embedding_scale = 12,
                     .residual_scale = 0.22f,
                     .logit_divisor = 8};
  expect_near(naive);
  m.keys["rope.scaling.finetuned"] = test::boolean(false);  // in this family: no rotation
  naive.use_rope = false;
  expect_near(naive);
  m.keys.erase("rope.scaling.finetuned");
  m.keys["rope.dimension_count"] = test::u32(0);
  expect_near(naive);
}

TEST(Decoder, ScalesOfZeroAreNone) {
  TinyModel m{.arch = "granite"};
  for (const char* key : {"embedding_scale", "residual_scale", "logit_scale", "attention.scale"})
    m.keys[key] = test::f32(0);
  expect_near({.m = m, .n_rot = 8});
}

TEST(Decoder, RopeFactorsAndLinearScaling) {
  TinyModel m{.bias = true, .rope_factors = true};
  m.keys["rope.scaling.factor"] = test::f32(4);
  expect_near({.m = m, .n_rot = 8, .freq_scale = 0.25});
  m.keys = {{"rope.scale_linear", test::f32(2)}};  // an old name
  expect_near({.m = m, .n_rot = 8, .freq_scale = 0.5});
  m.keys = {{"rope.scaling.factor", test::f32(4)}, {"rope.scaling.type", test::text("none")}};
  expect_near({.m = m, .n_rot = 8});
}

// Beyond a part of the running softmax (1,024 positions) and several batches.
TEST(Decoder, LongContext) {
  const TinyModel m{.n_layers = 1, .n_embd = 16, .n_heads = 2, .n_kv_heads = 1, .n_ff = 8, .n_vocab = 20};
  expect_near({.m = m, .n_rot = 8}, 1100);
}

void expect_same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  ASSERT_EQ(a.size(), b.size());
  ASSERT_FALSE(a.empty());
  EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size() * sizeof(float)), 0);
}

// Windows smaller and larger than the text, beside blocks of 32 and parts of 1,024, in some layers, all or
// none.
TEST(Decoder, LayersWithAWindow) {
  const std::vector<std::vector<int32_t>> patterns = {{1, 1, 0}, {0, 1, 0}, {1, 1, 1}, {0, 0, 0}};
  for (const uint32_t window : {1u, 5u, 31u, 32u, 33u, 64u, 69u, 70u, 1000u})
    for (const auto& pattern : patterns) {
      TinyModel m{.arch = "granite_swa", .n_layers = 3};
      m.keys = {{"attention.sliding_window", test::u32(window)},
                {"attention.sliding_window_pattern", test::i32s(pattern)}};
      SCOPED_TRACE(fmt::format("window {}, {}{}{}", window, pattern[0], pattern[1], pattern[2]));
      NaiveDecoder naive{.m = m, .n_rot = 8, .window = window};
      naive.windowed.assign(pattern.begin(), pattern.end());
      expect_near(naive);
      if (window != 33) continue;
      expect_near(naive, 300);
      m.keys["attention.rope_pattern"] = test::i32s({0, 1, 0});
      naive.rotated = {false, true, false};
      expect_near(naive);
    }
  TinyModel m{.arch = "granite_swa"};
  m.keys = {{"attention.sliding_window", test::u32(1100)},
            {"attention.sliding_window_pattern", test::i32s({1, 0})}};
  expect_near({.m = m, .n_rot = 8, .window = 1100, .windowed = {true, false}}, 1200);
}

TEST(Decoder, GroupsOfLayers) {
  TinyModel m{.arch = "granite_swa", .n_layers = 3};
  const auto shape_of = [&](std::vector<int32_t> pattern) {
    m.keys = {{"attention.sliding_window", test::u32(40)},
              {"attention.sliding_window_pattern", test::i32s(std::move(pattern))}};
    const gguf::test::TemporaryFolder folder;
    const std::vector<std::byte> bytes = m.bytes();
    auto file =
        gguf::File::open(folder.write("m.gguf", {reinterpret_cast<const char*>(bytes.data()), bytes.size()}));
    std::string text;
    const auto model = load_model(**file);
    if (!model) return model.error().message;
    const auto groups = (*model)->shape(1).groups;
    EXPECT_EQ(groups.size(), (*model)->kv_layouts({}).size());
    for (const auto& g : groups) text += fmt::format("{} of {} ", g.n_layers, g.window);
    return text;
  };
  EXPECT_EQ(shape_of({1, 1, 0}), "1 of 0 2 of 40 ");
  EXPECT_EQ(shape_of({0, 0, 0}), "3 of 0 ");
  EXPECT_EQ(shape_of({1, 1, 1}), "3 of 40 ");
  EXPECT_NE(shape_of({1, 1}).find("must have one flag for each of the 3 layers"), std::string::npos);
  m.change_tensors = [](std::vector<TinyTensor>& t) { t.push_back({"blk.1.attn_sinks.weight", {4}}); };
  EXPECT_NE(shape_of({1, 1, 0}).find("attention sinks"), std::string::npos);
}

TEST(Decoder, FusedQkvIsTheSame) {
  for (const TensorType type : {TensorType::kF32, TensorType::kQ8_0}) {
    const TinyModel separate{.type = type, .bias = true};
    TinyModel fused = separate;
    fused.change_tensors = [](std::vector<TinyTensor>& tensors) {
      std::erase_if(tensors, [](const TinyTensor& t) {
        return t.name.find("attn_k") != std::string::npos || t.name.find("attn_v") != std::string::npos;
      });
      for (TinyTensor& t : tensors) {
        const size_t at = t.name.find("attn_q.");
        if (at == std::string::npos) continue;
        t.name.insert(at + 6, "kv");
        t.shape.back() = 64;  // 4 heads and twice 2 heads of 8
      }
    };
    fused.change_blocks = [&](const TinyTensor& t, std::span<std::byte> blocks) {
      const size_t at = t.name.find("attn_qkv");
      if (at == std::string::npos) return;
      for (const char* part : {"q", "k", "v"}) {
        std::string name = t.name;
        name.replace(at, 8, std::string("attn_") + part);
        for (const TinyTensor& original : separate.tensors()) {
          if (original.name != name) continue;
          const std::vector<float> x = separate.values(original);
          encode_row(t.type, x.data(), blocks.data(), static_cast<int64_t>(x.size()));
          blocks = blocks.subspan(*row_bytes(t.type, static_cast<int64_t>(x.size())));
        }
      }
      EXPECT_TRUE(blocks.empty());
    };
    const auto tokens = some_tokens(20, 40);
    expect_same_bits(logits(fused, tokens, false), logits(separate, tokens, false));
  }
}

TEST(Decoder, TiedOutputIsTheEmbedding) {
  const TinyModel tied{.type = TensorType::kQ4_0, .tied = true};
  TinyModel twice{.type = TensorType::kQ4_0};
  twice.change_blocks = [&](const TinyTensor& t, std::span<std::byte> blocks) {
    if (t.name != "output.weight") return;
    const std::vector<float> x = tied.values(tied.tensors()[0]);
    encode_row(t.type, x.data(), blocks.data(), static_cast<int64_t>(x.size()));
  };
  const auto tokens = some_tokens(20, 40);
  expect_same_bits(logits(tied, tokens, false), logits(twice, tokens, false));
}

TEST(Decoder, BiasesOfZeroChangeNothing) {
  const TinyModel none;
  TinyModel zero{.bias = true};
  zero.change_blocks = [](const TinyTensor& t, std::span<std::byte> blocks) {
    if (t.name.ends_with(".bias")) std::fill(blocks.begin(), blocks.end(), std::byte{0});
  };
  const auto tokens = some_tokens(20, 40);
  const auto a = logits(none, tokens), b = logits(zero, tokens);
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) EXPECT_EQ(a[i], b[i]);  // but for the sign of a zero
}

// Data may begin at any byte (general.alignment 1 to 32): nothing may rely on more.
TEST(Decoder, UnalignedWeights) {
  for (const TensorType type : {TensorType::kF32, TensorType::kF16, TensorType::kBF16, TensorType::kQ4_0,
                                TensorType::kQ4_1, TensorType::kQ8_0, TensorType::kQ4_K, TensorType::kQ6_K}) {
    const TinyModel aligned{.n_embd = 256, .n_ff = 256, .type = type, .bias = true, .rope_factors = true};
    TinyModel m{aligned};
    m.n_heads = 4, m.head_dim_k = m.head_dim_v = 64, m.n_kv_heads = 1;
    TinyModel unaligned = m;
    unaligned.alignment = 1;
    unaligned.change_tensors = [](std::vector<TinyTensor>& t) {
      t.insert(t.begin(), {"odd", {3}, static_cast<TensorType>(24)});  // three bytes in front of everything
    };
    const auto tokens = some_tokens(12, 40);
    for (const bool exact : {false, true})
      expect_same_bits(logits(unaligned, tokens, exact), logits(m, tokens, exact));
  }
}

TEST(Decoder, TokensOutsideTheVocabulary) {
  const gguf::test::TemporaryFolder folder;
  const std::vector<std::byte> bytes = TinyModel{}.bytes();
  LocalOptions options;
  options.n_threads = 1;
  auto model = LocalModel::open(
      folder.write("m.gguf", {reinterpret_cast<const char*>(bytes.data()), bytes.size()}), options);
  ASSERT_TRUE(model) << model.error().message;
  for (const int32_t bad : {-1, 40, INT32_MAX, INT32_MIN}) {
    const std::vector<int32_t> tokens = {1, bad, 2};
    const auto done = (*model)->feed(tokens, 2, [](int64_t, std::span<const float>) {});
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().message, fmt::format("token {} is not in the vocabulary of 40", bad));
    EXPECT_EQ((*model)->position(0), 0);
  }
}

// A file that is cut while a model runs on it ends the process, and says which file it was.
// What is going to be filled must fit before it is begun, and the error says how much would.
TEST(Decoder, ACacheThatCannotBeHeld) {
  const gguf::test::TemporaryFolder folder;
  const std::vector<std::byte> bytes = TinyModel{}.bytes();
  LocalOptions options;
  options.n_threads = 1;
  options.n_ctx = int64_t{1} << 33;
  options.n_sequences = 200;
  const auto model = LocalModel::open(
      folder.write("m.gguf", {reinterpret_cast<const char*>(bytes.data()), bytes.size()}), options);
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, Code::kOutOfMemory);
  EXPECT_NE(model.error().message.find("8589934592 tokens for each of 200 sequences need a KV cache of"),
            std::string::npos)
      << model.error().message;
  EXPECT_NE(model.error().message.find(" tokens fit\n"), std::string::npos) << model.error().message;
}

TEST(Decoder, FileCutUnderTheMap) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const gguf::test::TemporaryFolder folder;
  const std::vector<std::byte> bytes = TinyModel{.n_embd = 64, .n_vocab = 400}.bytes();
  const std::string path =
      folder.write("m.gguf", {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  EXPECT_EXIT(
      {
        LocalOptions options;
        options.n_threads = 2;
        auto model = LocalModel::open(path, options);
        if (!model || truncate(path.c_str(), 4096) != 0) _exit(3);
        const auto done = (*model)->feed(some_tokens(20, 400), 19, [](int64_t, std::span<const float>) {});
        _exit(done ? 4 : 5);
      },
      testing::ExitedWithCode(1), "Error: .*m.gguf became shorter or unreadable while it was in use");
}

}  // namespace
}  // namespace quipu
