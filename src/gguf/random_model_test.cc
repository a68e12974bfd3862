// Random models: valid files whose weights, vocabulary and size are what was asked for.
#include "gguf/random_model.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "base/test_data.h"
#include "gguf/file.h"
#include "gguf/random_blocks.h"
#include "gguf/temporary_folder.h"
#include "quant/codec.h"

namespace quipu::gguf {
namespace {

using test::TemporaryFolder;

RandomModel tiny() {
  return {.n_layers = 3,
          .n_embd = 256,
          .n_heads = 4,
          .n_kv_heads = 2,
          .n_ff = 512,
          .n_ctx = 1024,
          .n_vocab = 1500};
}

TEST(RandomModel, SmallGranite) {
  const TemporaryFolder folder;
  const std::string path = folder / "m.gguf";
  ASSERT_TRUE(write_random_model(small_granite(), path));
  const auto size = std::filesystem::file_size(path);
  EXPECT_GT(size, 20u << 20);
  EXPECT_LT(size, 60u << 20);
  const auto r = File::open(path);
  ASSERT_TRUE(r) << r.error().message;
  const File& f = **r;
  EXPECT_EQ(f.architecture(), "granite");
  EXPECT_EQ(f.uint("granite.block_count").value(), 8u);
  EXPECT_EQ(f.number("granite.logit_scale").value(), 8.0);
  EXPECT_EQ(f.tensors().size(), 2u + 8 * 9);
  EXPECT_EQ(f.tensor("token_embd.weight")->type, TensorType::kQ6_K);
  EXPECT_EQ(f.tensor("token_embd.weight")->shape, (std::array<int64_t, 4>{512, 8192, 1, 1}));
  EXPECT_EQ(f.tensor("output.weight"), nullptr);
  EXPECT_EQ(f.tensor("blk.0.attn_v.weight")->type, TensorType::kQ6_K);
  EXPECT_EQ(f.tensor("blk.1.attn_v.weight")->type, TensorType::kQ4_K);
  EXPECT_EQ(f.tensor("blk.3.ffn_down.weight")->type, TensorType::kQ6_K);
  EXPECT_EQ(f.tensor("blk.3.ffn_down.weight")->shape, (std::array<int64_t, 4>{2048, 512, 1, 1}));
}

TEST(RandomModel, Vocabulary) {
  const TemporaryFolder folder;
  ASSERT_TRUE(write_random_model(tiny(), folder / "m.gguf"));
  const auto f = File::open(folder / "m.gguf");
  ASSERT_TRUE(f);
  const auto tokens = (*f)->array("tokenizer.ggml.tokens")->value().as_strings().value();
  const auto types = (*f)->array("tokenizer.ggml.token_type")->value().as_ints().value();
  const auto merges = (*f)->array("tokenizer.ggml.merges")->value().as_strings().value();
  ASSERT_EQ(tokens.size(), 1500u);
  ASSERT_EQ(types.size(), 1500u);
  EXPECT_EQ(merges.size(), 1500u - 259);
  const std::set<std::string_view> known(tokens.begin(), tokens.end());
  EXPECT_EQ(known.size(), tokens.size());
  EXPECT_TRUE(known.contains("\u0120") && known.contains("\u0143") && known.contains("\u00ff"));
  std::set<std::string> results;
  for (const std::string_view m : merges) {
    const size_t space = m.find(' ', 1);
    ASSERT_NE(space, std::string_view::npos);
    const std::string left(m.substr(0, space)), right(m.substr(space + 1));
    EXPECT_TRUE(known.contains(left) && known.contains(right) && known.contains(left + right)) << m;
    EXPECT_TRUE(results.insert(left + right).second) << m;
  }
  EXPECT_TRUE((*f)->string("tokenizer.chat_template")->has_value());
}

TEST(RandomModel, EqualSeedsEqualFiles) {
  const TemporaryFolder folder;
  RandomModel m = tiny();
  ASSERT_TRUE(write_random_model(m, folder / "a"));
  ASSERT_TRUE(write_random_model(m, folder / "b"));
  m.seed = 2;
  ASSERT_TRUE(write_random_model(m, folder / "c"));
  EXPECT_EQ(quipu::test::read_file(folder / "a"), quipu::test::read_file(folder / "b"));
  EXPECT_NE(quipu::test::read_file(folder / "a"), quipu::test::read_file(folder / "c"));
}

TEST(RandomModel, EveryMixAndArchitecture) {
  const TemporaryFolder folder;
  for (const WeightMix mix : {WeightMix::kF32, WeightMix::kF16, WeightMix::kBF16, WeightMix::kQ8_0,
                              WeightMix::kQ4_0, WeightMix::kQ4_1, WeightMix::kQ4_K_M}) {
    RandomModel m = tiny();
    m.arch = "llama";
    m.mix = mix;
    m.tied = false;
    ASSERT_TRUE(write_random_model(m, folder / "m.gguf"));
    const auto f = File::open(folder / "m.gguf");
    ASSERT_TRUE(f) << f.error().message;
    EXPECT_EQ((*f)->tensors().size(), 3u + 3 * 9);
    EXPECT_EQ((*f)->find("llama.logit_scale"), nullptr);
    for (const Tensor& t : (*f)->tensors()) {
      std::vector<float> x(static_cast<size_t>(t.n_elements()));
      decode_row(t.type, t.data.data(), x.data(), t.n_elements());
      double sum = 0, sum2 = 0;
      for (const float v : x) sum += v, sum2 += static_cast<double>(v) * v;
      const double mean = sum / static_cast<double>(x.size()),
                   rms = std::sqrt(sum2 / static_cast<double>(x.size()));
      if (t.name.find("norm") != std::string_view::npos) {
        EXPECT_EQ(mean, 1.0) << t.name;
      } else {
        EXPECT_NEAR(rms, 0.02, 0.002) << t.name << " " << type_name(t.type);
        EXPECT_NEAR(mean, 0.0, 0.003) << t.name << " " << type_name(t.type);
      }
    }
  }
}

TEST(RandomModel, Windows) {
  const TemporaryFolder folder;
  RandomModel m = tiny();
  m.arch = "granite_swa";
  EXPECT_FALSE(write_random_model(m, folder / "m.gguf")) << "it needs one";
  m.window = 40;
  ASSERT_TRUE(write_random_model(m, folder / "m.gguf"));
  const auto f = File::open(folder / "m.gguf");
  ASSERT_TRUE(f) << f.error().message;
  EXPECT_EQ((*f)->uint("granite_swa.attention.sliding_window").value(), 40u);
  EXPECT_NE((*f)->find("granite_swa.attention.sliding_window_pattern"), nullptr);
  m.arch = "granite";
  EXPECT_FALSE(write_random_model(m, folder / "m.gguf"));
}

TEST(RandomModel, ImpossibleShapes) {
  const TemporaryFolder folder;
  RandomModel m = tiny();
  m.n_vocab = 200;
  EXPECT_FALSE(write_random_model(m, folder / "m.gguf"));
  m = tiny();
  m.arch = "gemma";
  EXPECT_FALSE(write_random_model(m, folder / "m.gguf"));
  m = tiny();
  m.n_embd = 300;  // no multiple of 256
  EXPECT_FALSE(write_random_model(m, folder / "m.gguf"));
  EXPECT_EQ(folder.count(), 0u);
}

TEST(RandomBlocks, PiecesDoNotMatter) {
  const RandomBlocks blocks(TensorType::kQ4_K, 1.0f, 7);
  std::vector<std::byte> whole(144 * 10), parts(144 * 10);
  blocks.fill(0, whole);
  for (size_t at = 0; at < parts.size(); at += 144 * 5)
    blocks.fill(at, std::span(parts).subspan(at, 144 * 5));
  EXPECT_EQ(whole, parts);
}

}  // namespace
}  // namespace quipu::gguf
