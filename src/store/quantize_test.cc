#include "store/quantize.h"

#include <map>

#include "quant/codec.h"
#include "store/create.h"
#include "store/store_fixture.h"

namespace quipu::store {
namespace {

using test::named;
using test::StoreTest;

constexpr int64_t kWidth = 256;

// Floats that no two places share.
std::vector<std::byte> values(TensorType type, int64_t n, float seed) {
  std::vector<float> floats(static_cast<size_t>(n));
  for (size_t i = 0; i < floats.size(); ++i)
    floats[i] = seed + 0.001f * static_cast<float>((i * 7919) % 4001) - 2.0f;
  std::vector<std::byte> bytes(static_cast<size_t>(n) * static_cast<size_t>(type_info(type)->block_bytes));
  encode_row(type, floats.data(), bytes.data(), n);
  return bytes;
}

struct Spec {
  std::string name;
  int64_t width = kWidth, rows = 2;
};

std::string file_of(const std::vector<Spec>& tensors, uint32_t layers, uint32_t experts = 0,
                    const std::string& architecture = "llama") {
  gguf::Writer writer;
  writer.add_string("general.architecture", architecture);
  writer.add_uint32("general.file_type", 1);
  writer.add_uint32(architecture + ".block_count", layers);
  if (experts > 0) writer.add_uint32(architecture + ".expert_count", experts);
  std::vector<std::vector<std::byte>> data;
  data.reserve(tensors.size());
  float seed = 0;
  for (const Spec& spec : tensors) {
    const bool norm = spec.rows == 0;
    const TensorType type = norm ? TensorType::kF32 : TensorType::kF16;
    data.push_back(values(type, spec.width * std::max<int64_t>(spec.rows, 1), seed += 0.25f));
    std::vector<int64_t> shape = {spec.width};
    if (!norm) shape.push_back(spec.rows);
    if (!writer.add_tensor(spec.name, type, shape, data.back())) std::abort();
  }
  const auto bytes = writer.bytes();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

class Quantize : public StoreTest {
 protected:
  std::map<std::string, std::string> types(const std::string& file, const char* to) {
    test::write_to(folder_ / "x", file);
    const auto header = GgufHeader::read(folder_ / "x");
    const auto quantization = parse_quantization(to);
    if (!header || !quantization) return {};
    const auto chosen = choose_types(header->file(), *quantization);
    if (!chosen) return {{"error", chosen.error().message}};
    std::map<std::string, std::string> names;
    for (const auto& [name, type] : *chosen) names[name] = type_name(type);
    return names;
  }
};

TEST(QuantizeNames, InAnyCase) {
  EXPECT_EQ(parse_quantization("q4_k_m")->name, "Q4_K_M");
  EXPECT_EQ(parse_quantization("Q4_K")->file_type, 15u);
  EXPECT_EQ(parse_quantization("bf16")->most, TensorType::kBF16);
  EXPECT_EQ(parse_quantization("q3_k_m").error().message,
            "unsupported quantization type Q3_K_M - supported types are F32, F16, Q4_K_S, Q4_K_M, Q8_0");
}

TEST_F(Quantize, TypesOfAMixture) {
  std::vector<Spec> tensors = {{"token_embd.weight"}, {"output.weight"}, {"output_norm.weight", kWidth, 0}};
  constexpr int kLayers = 16;
  for (int i = 0; i < kLayers; ++i)
    for (const char* part : {"attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"})
      tensors.push_back({fmt::format("blk.{}.{}.weight", i, part)});
  const auto chosen = types(file_of(tensors, kLayers), "Q4_K_M");
  EXPECT_EQ(chosen.at("output.weight"), "Q6_K");
  EXPECT_EQ(chosen.at("token_embd.weight"), "Q4_K");
  EXPECT_FALSE(chosen.contains("output_norm.weight"));
  for (int i = 0; i < kLayers; ++i) {
    // The first and last eighth, and every third between them. Counters run by block number.
    const bool more = i < 2 || i >= 14 || (i - 2) % 3 == 2;
    EXPECT_EQ(chosen.at(fmt::format("blk.{}.attn_v.weight", i)), more ? "Q6_K" : "Q4_K") << i;
    EXPECT_EQ(chosen.at(fmt::format("blk.{}.ffn_down.weight", i)), more ? "Q6_K" : "Q4_K") << i;
    EXPECT_EQ(chosen.at(fmt::format("blk.{}.ffn_up.weight", i)), "Q4_K") << i;
  }
  EXPECT_EQ(types(file_of(tensors, kLayers), "Q8_0").at("output.weight"), "Q8_0");
  EXPECT_EQ(types(file_of(tensors, kLayers), "F32").at("output.weight"), "F32");
  EXPECT_TRUE(types(file_of(tensors, kLayers), "F16").empty());
}

TEST_F(Quantize, WithoutAnOutputTheEmbeddingIsIt) {
  const auto chosen = types(file_of({{"token_embd.weight"}, {"blk.0.attn_q.weight"}}, 1), "Q4_K_M");
  EXPECT_EQ(chosen.at("token_embd.weight"), "Q6_K");
  EXPECT_EQ(chosen.at("blk.0.attn_q.weight"), "Q4_K");
}

TEST_F(Quantize, RowsThatAreNoWholeNumberOfBlocks) {
  EXPECT_EQ(types(file_of({{"token_embd.weight", 160}}, 1), "Q4_K_M").at("token_embd.weight"), "Q8_0");
  EXPECT_TRUE(
      types(file_of({{"token_embd.weight"}, {"output.weight"}, {"blk.0.ffn_up.weight", 40}}, 1), "Q8_0")
          .contains("output.weight"));
  EXPECT_FALSE(types(file_of({{"output.weight"}, {"blk.0.ffn_up.weight", 40}}, 1), "Q8_0")
                   .contains("blk.0.ffn_up.weight"));
}

TEST_F(Quantize, WhatCannotBeWrittenIsSaid) {
  EXPECT_NE(types(file_of({{"token_embd.weight"}, {"blk.0.attn_v.weight"}}, 8), "Q4_K_S")
                .at("error")
                .find("blk.0.attn_v.weight"),
            std::string::npos);
}

TEST_F(Quantize, ExpertsAndExceptions) {
  const auto experts =
      types(file_of({{"output.weight"}, {"blk.0.attn_v.weight"}, {"blk.0.attn_k.weight"}}, 8, 8), "Q4_K_M");
  EXPECT_EQ(experts.at("blk.0.attn_v.weight"), "Q8_0");
  EXPECT_EQ(experts.at("blk.0.attn_k.weight"), "Q8_0");
  const auto deepseek =
      types(file_of({{"output.weight"}, {"blk.0.attn_kv_b.weight"}}, 8, 0, "deepseek2"), "Q4_K_M");
  EXPECT_EQ(deepseek.at("blk.0.attn_kv_b.weight"), "Q8_0");
  EXPECT_FALSE(types(file_of({{"output.weight"}}, 8, 0, "glm4"), "Q4_K_M")
                   .contains("output.weight"));  // F16, as it was
}

TEST_F(Quantize, AModelOnCreate) {
  const std::string file = file_of(
      {{"token_embd.weight"}, {"output_norm.weight", kWidth, 0}, {"blk.0.ffn_up.weight", kWidth, 5000}}, 1);
  const Digest source = put(file);
  std::vector<CreateProgress> seen;
  CreateHooks hooks;
  hooks.progress = [&](const CreateProgress& p) { seen.push_back(p); };
  const auto made = create_model(
      *store_, {.model = "q", .files = {{{"m.gguf", source.text()}}}, .quantize = "q8_0"}, hooks);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(seen.front().status, "parsing GGUF");
  EXPECT_EQ(seen[1].status, "quantizing F16 model to Q8_0");
  EXPECT_EQ(seen[1].digest, "0000000000000000000");
  EXPECT_GT(seen[1].total, 0u);
  EXPECT_EQ(seen.back().status, "success");
  EXPECT_FALSE(has(source));

  const auto result = gguf::File::open(store_->blob_path(made->layers[0].digest));
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(**(*result)->uint("general.file_type"), 7u);
  EXPECT_EQ(**(*result)->uint("general.quantization_version"), 2u);
  test::write_to(folder_ / "source", file);
  const auto original = gguf::File::open(folder_ / "source");
  for (const gguf::Tensor& before : (*original)->tensors()) {
    const gguf::Tensor* after = (*result)->tensor(before.name);
    ASSERT_NE(after, nullptr);
    if (before.n_dims == 1) {
      EXPECT_EQ(after->type, TensorType::kF32);
      continue;
    }
    ASSERT_EQ(after->type, TensorType::kQ8_0);
    const int64_t n = before.n_elements();
    std::vector<float> floats(static_cast<size_t>(n));
    decode_row(before.type, before.data.data(), floats.data(), n);
    std::vector<std::byte> expected(after->data.size());
    encode_row(after->type, floats.data(), expected.data(), n);
    EXPECT_TRUE(std::ranges::equal(expected, after->data)) << before.name;
  }
  // What is quantised already stays so.
  const auto again = create_model(*store_, {.model = "r", .from = "q", .quantize = "Q8_0"}, {});
  ASSERT_TRUE(again);
  EXPECT_EQ(again->layers[0].digest, made->layers[0].digest);
  const auto other = create_model(*store_, {.model = "s", .from = "q", .quantize = "q4_K_M"}, {});
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().message, "quantization is only supported for F16, BF16 and F32 models");
}

}  // namespace
}  // namespace quipu::store
