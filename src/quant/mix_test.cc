#include "quant/mix.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace quipu {
namespace {

// Llama 3.1 8B: 32 layers of width 4096, 8 KV heads of 128, feed-forward 14336, 128256 tokens.
WeightCounts llama_8b() {
  WeightCounts c;
  c.n_embedding = c.n_output = 128256ll * 4096;
  c.n_value_down = 32ll * 4096 * (1024 + 14336);
  c.n_other = 32ll * 4096 * (4096 + 1024 + 4096 + 2 * 14336);
  c.n_vector = 65ll * 4096;
  c.header_bytes = 7'800'000;
  return c;
}

TEST(Mix, EstimatesTheSizesOfPublishedFiles) {
  const auto holds = [](const char* name, double published) {
    const auto bytes = static_cast<double>(estimated_bytes(llama_8b(), *find_quantization(name)));
    EXPECT_NEAR(bytes / published, 1, 0.01) << name;
  };
  holds("F16", 16'068'891'840.0);
  holds("Q8_0", 8'540'770'880.0);
  holds("Q6_K", 6'596'006'464.0);
  holds("Q5_K_M", 5'732'987'456.0);
  holds("Q4_K_M", 4'920'734'272.0);
  holds("Q4_K_S", 4'692'668'992.0);
  holds("Q4_0", 4'661'211'808.0);
}

TEST(Mix, GoesFromFineToCoarse) {
  uint64_t before = UINT64_MAX;
  for (const Quantization& q : quantizations()) {
    const uint64_t bytes = estimated_bytes(llama_8b(), q);
    EXPECT_LE(bytes, before) << q.name;
    before = bytes;
  }
}

TEST(Mix, NamesAreFoundWhateverTheirCase) {
  ASSERT_NE(find_quantization("q4_k_m"), nullptr);
  EXPECT_STREQ(find_quantization("q4_k_m")->name, "Q4_K_M");
  EXPECT_EQ(find_quantization("Q4_K"), nullptr);
  EXPECT_EQ(find_quantization(""), nullptr);
}

TEST(Mix, ATiedEmbeddingIsStoredAsTheOutput) {
  WeightCounts c;
  c.n_embedding = 256 * 1024;
  const Quantization& q = *find_quantization("Q4_K_M");
  EXPECT_EQ(estimated_bytes(c, q), 210u * 1024);
  c.n_output = c.n_embedding;
  EXPECT_EQ(estimated_bytes(c, q), (210u + 144u) * 1024);
}

TEST(Mix, AbsurdCountsSaturate) {
  WeightCounts c = llama_8b();
  c.n_other = INT64_MAX;
  EXPECT_EQ(estimated_bytes(c, *find_quantization("F32")), uint64_t{1} << 63);
  c.n_other = INT64_MIN;
  EXPECT_LT(estimated_bytes(c, *find_quantization("Q4_0")), 3'000'000'000u);
}

}  // namespace
}  // namespace quipu
