// Tiny models with random weights against the logits of an independent implementation. Distances are in units
// of the target's root mean square.
#include <gtest/gtest.h>

#include <cmath>
#include <tuple>

#include "model/local_model.h"
#include "model/test_models.h"
#include "tokenizer/tokenizer.h"

namespace quipu {
namespace {

struct Distance {
  double max = 0, rms = 0;
};

Distance distance(const std::vector<float>& got, const std::vector<float>& want) {
  double sum = 0, target = 0, max = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    const double d = std::abs(static_cast<double>(got[i]) - want[i]);
    max = std::max(max, std::isnan(d) ? INFINITY : d);
    sum += d * d;
    target += static_cast<double>(want[i]) * want[i];
  }
  const double rms = std::sqrt(target / static_cast<double>(want.size()));
  return {max / rms, std::sqrt(sum / static_cast<double>(want.size())) / rms};
}

std::vector<float> logits_of(const test::TestModel& m, KvTypes kv, bool exact) {
  LocalOptions options;
  options.n_ctx = 256;
  options.n_outputs = m.n_rows;
  options.kv_types = kv;
  options.n_threads = 2;
  options.exact_activations = exact;
  auto model = LocalModel::open(m.path, options);
  if (!model) {
    ADD_FAILURE() << model.error().message;
    return std::vector<float>(m.logits.size(), NAN);
  }
  std::vector<float> out;
  auto fed = (*model)->feed(m.tokens, m.first_row, [&](int64_t, std::span<const float> row) {
    out.insert(out.end(), row.begin(), row.end());
  });
  EXPECT_TRUE(fed.has_value());
  out.resize(m.logits.size(), NAN);
  return out;
}

constexpr KvTypes kF32 = {kernels::KvType::kF32, kernels::KvType::kF32};
constexpr KvTypes kF16 = {kernels::KvType::kF16, kernels::KvType::kF16};

class FloatModels : public testing::TestWithParam<const char*> {};

TEST_P(FloatModels, AgreeWithTheReference) {
  const test::TestModel m(GetParam());
  EXPECT_LE(distance(logits_of(m, kF32, false), m.logits).max, m.max_tolerance);
  EXPECT_LE(distance(logits_of(m, kF32, true), m.logits).max, m.max_tolerance);
}
INSTANTIATE_TEST_SUITE_P(All, FloatModels,
                         testing::Values("llama-plain", "llama-bias", "llama-headdim", "llama-linear",
                                         "llama-ropefreqs", "llama-yarn", "granite"));

class QuantisedModels : public testing::TestWithParam<const char*> {};

TEST_P(QuantisedModels, AgreeWithTheReference) {
  const test::TestModel m(GetParam());
  EXPECT_LE(distance(logits_of(m, kF32, true), m.logits).max, m.max_tolerance) << "float32 activations";
  const Distance rounded = distance(logits_of(m, kF32, false), m.logits);
  EXPECT_LE(rounded.max, m.max_rounded);
  EXPECT_LE(rounded.rms, m.rms_rounded);
}
INSTANTIATE_TEST_SUITE_P(All, QuantisedModels,
                         testing::Values("llama-quant-f16", "llama-quant-bf16", "llama-quant-q4_0",
                                         "llama-quant-q4_1", "llama-quant-q8_0", "llama-quant-q4_k",
                                         "llama-quant-q6_k", "llama-quant-q4_k_m-mix"));

TEST(KvCache, F16AgreesWithKeysAndValuesRoundedToF16) {
  const test::TestModel m("llama-headdim");
  const auto want =
      test::floats(test::read_file(std::string(QUIPU_TESTDATA) + "/models/llama-headdim.kv-f16.f32"));
  EXPECT_LE(distance(logits_of(m, kF16, true), want).max, 2e-3);
  EXPECT_GT(distance(logits_of(m, kF32, true), want).max, 2e-3) << "a float32 cache must show the difference";
}

// Heads of 32 values are not rotated, so the reference's blocks are ours. In q8_0 two blocks' largest values
// lie within two float32 ulps of where the f16 scale goes up: the norm before them has to be exact.
TEST(KvCache, QuantisedTypesAgreeWithKeysAndValuesRoundedToThem) {
  const test::TestModel m("llama-headdim");
  for (const auto& [name, type, most] :
       {std::tuple{"q8_0", kernels::KvType::kQ8_0, 1e-4}, {"q4_0", kernels::KvType::kQ4_0, 1e-4}}) {
    const auto want = test::floats(
        test::read_file(std::string(QUIPU_TESTDATA) + "/models/llama-headdim.kv-" + name + ".f32"));
    const Distance d = distance(logits_of(m, {type, type}, true), want);
    EXPECT_LE(d.max, most) << name;
    EXPECT_LE(d.rms, 6e-4) << name;
    EXPECT_GT(distance(logits_of(m, kF32, true), want).max, 20 * most) << name;
  }
}

// The tokenizers that come with these models: one that is built in, and one that is not, which must not keep
// its model from loading.
TEST(Tokenizers, OfTheModels) {
  for (const char* name : {"granite", "llama-ropefreqs", "llama-plain"}) {
    const test::TestModel m(name);
    const auto file = gguf::File::open(m.path);
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_TRUE(load_model(**file));
    const auto tokenizer = Tokenizer::load(**file);
    if (!tokenizer) {
      EXPECT_EQ(std::string(name), "llama-plain") << tokenizer.error().message;
      EXPECT_EQ(tokenizer.error().code, Code::kUnsupported);
      continue;
    }
    const auto check = nlohmann::json::parse(
        test::read_file(std::string(QUIPU_TESTDATA) + "/models/" + name + ".json"))["tokenizer_check"];
    EXPECT_EQ((*tokenizer)->encode(check["text"].get<std::string>(), true, true),
              check["ids"].get<std::vector<Token>>());
  }
}

}  // namespace
}  // namespace quipu
