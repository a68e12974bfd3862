#include "kernels/matmul.h"

#include <gtest/gtest.h>

#include <bit>
#include <cfloat>
#include <cmath>
#include <limits>

#include "kernels/matmul_fixture.h"

namespace quipu::kernels {
namespace {

using namespace test;  // NOLINT: a test

class MatmulTest : public testing::Test {
 protected:
  void TearDown() override { set_isa_for_test(best_isa()); }
};

std::unique_ptr<ThreadPool> pool_of(int n) { return std::move(ThreadPool::create(n).value()); }

bool same(float a, float b) {
  return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b) || (std::isnan(a) && std::isnan(b));
}

void expect_same(const std::vector<float>& want, const std::vector<float>& got, const std::string& what) {
  ASSERT_EQ(want.size(), got.size());
  for (size_t i = 0; i < want.size(); ++i)
    ASSERT_TRUE(same(want[i], got[i]))
        << what << ": output " << i << " is " << got[i] << ", should be " << want[i];
}

std::string describe(const Weights& w, Isa isa, int64_t tokens) {
  return fmt::format("{} {} x {}, {}, {} tokens", type_name(w.type), w.n_rows, w.n_cols, isa_name(isa),
                     tokens);
}

// Ordinary values with a few large ones; token 0 all at +127, token 1 all at -127, token 2 zero, token 3
// tiny.
std::vector<float> activations(int64_t n_tokens, int64_t n_cols, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> x(static_cast<size_t>(n_tokens * n_cols));
  for (float& v : x) v = normal(random) * (random() % 50 == 0 ? 20.0f : 1.0f);
  const auto token = [&](int64_t t) {
    return std::span(x).subspan(static_cast<size_t>(t * n_cols), static_cast<size_t>(n_cols));
  };
  if (n_tokens > 3) {
    std::ranges::fill(token(0), 3.0f);
    std::ranges::fill(token(1), -3.0f);
    std::ranges::fill(token(2), 0.0f);
    for (float& v : token(3)) v *= 1e-42f;
  }
  return x;
}

bool fits(TensorType type, int64_t n_cols) { return n_cols % type_info(type)->block_elems == 0; }

// All sets, token counts, thread counts: the bits of the scalar product of the whole batch.
void expect_all_alike(const Weights& w, const std::vector<float>& x, int64_t n_tokens,
                      std::initializer_list<int64_t> batches) {
  const auto one = pool_of(1), three = pool_of(3);
  set_isa_for_test(Isa::kScalar);
  const std::vector<float> whole = multiply(*three, std::span(&w, 1), x, n_tokens);
  const auto width = whole.size() / static_cast<size_t>(n_tokens);
  for (Isa isa : isas()) {
    set_isa_for_test(isa);
    for (int64_t n : batches) {
      for (int64_t t0 = 0; t0 + n <= n_tokens; t0 += std::max<int64_t>(n, n_tokens / 3)) {
        const auto begin = x.begin() + t0 * w.n_cols;
        const std::vector<float> part(begin, begin + n * w.n_cols);
        const auto want = whole.begin() + t0 * static_cast<int64_t>(width);
        ThreadPool& pool = n % 2 ? *three : *one;
        expect_same({want, want + n * static_cast<int64_t>(width)}, multiply(pool, std::span(&w, 1), part, n),
                    describe(w, isa, n));
        if (testing::Test::HasFatalFailure()) return;
      }
    }
  }
}

TEST_F(MatmulTest, EveryWayGivesTheSameBits) {
  for (TensorType type : kTypes) {
    for (int64_t n_cols : {32, 64, 576, 1536, 2048, 256, 768}) {
      if (!fits(type, n_cols)) continue;
      const int64_t tokens = n_cols > 1000 ? 33 : 70;
      const TestWeights w(type, 83, n_cols, Fill::kRandom, 7);
      expect_all_alike(w.weights(), activations(tokens, n_cols, 1), tokens,
                       {1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 16, 33, 70});
    }
  }
}

TEST_F(MatmulTest, LargeBatches) {
  for (TensorType type : kTypes) {
    const TestWeights w(type, 50, 512, Fill::kRandom, 8);
    expect_all_alike(w.weights(), activations(300, 512, 2), 300, {300, 256, 257, 259, 100});
  }
}

TEST_F(MatmulTest, ExtremeQuantsAndActivations) {
  for (TensorType type : kTypes) {
    for (Fill fill : {Fill::kHighest, Fill::kLowest}) {
      const TestWeights w(type, 40, 512, fill, 9);
      expect_all_alike(w.weights(), activations(9, 512, 3), 9, {1, 2, 9});
    }
  }
}

TEST_F(MatmulTest, RowTails) {
  for (TensorType type : kTypes) {
    for (int64_t rows : {1, 3, 7, 8, 15, 16, 17, 24, 31, 32, 33, 47, 48, 49, 65, 160}) {
      const TestWeights w(type, rows, 256, Fill::kRandom, 10);
      expect_all_alike(w.weights(), activations(14, 256, 4), 14, {1, 2, 5, 14});
    }
  }
}

TEST_F(MatmulTest, FloatRowsOfAnyLength) {
  for (TensorType type : {TensorType::kF32, TensorType::kF16, TensorType::kBF16}) {
    for (int64_t n_cols : {1, 5, 31, 33, 63, 100, 577, 2049, 4100}) {
      const TestWeights w(type, 37, n_cols, Fill::kRandom, 11);
      expect_all_alike(w.weights(), activations(15, n_cols, 5), 15, {1, 2, 4, 13, 15});
    }
  }
}

TEST_F(MatmulTest, ManyRows) {
  const TestWeights w(TensorType::kQ4_K, 4915, 256, Fill::kRandom, 12);
  expect_all_alike(w.weights(), activations(7, 256, 6), 7, {1, 7});
}

// Bytes of a damaged file, and activations that are not numbers: anything but a crash, and still the same
// everywhere.
TEST_F(MatmulTest, WildBytesAndActivations) {
  for (TensorType type : kTypes) {
    const TestWeights w(type, 35, 512, Fill::kWild, 13);
    std::vector<float> x = activations(13, 512, 7);
    const float bad[] = {std::numeric_limits<float>::infinity(),
                         -std::numeric_limits<float>::infinity(),
                         FLT_MAX,
                         std::numeric_limits<float>::quiet_NaN(),
                         -FLT_MAX,
                         FLT_MIN,
                         1e-45f,
                         -0.0f};
    for (size_t i = 0; i < x.size(); i += 97) x[i] = bad[i % 8];
    expect_all_alike(w.weights(), x, 13, {1, 2, 6, 13});
  }
}

TEST_F(MatmulTest, ABadActivationStaysInItsToken) {
  const TestWeights w(TensorType::kQ8_0, 32, 64, Fill::kRandom, 14);
  const auto pool = pool_of(1);
  for (Isa isa : isas()) {
    set_isa_for_test(isa);
    std::vector<float> x = activations(6, 64, 8);
    const auto before = multiply(*pool, std::span(&w.weights(), 1), x, 6);
    x[64 * 4 + 5] = std::numeric_limits<float>::quiet_NaN();
    x[64 * 4 + 9] = std::numeric_limits<float>::infinity();
    const auto after = multiply(*pool, std::span(&w.weights(), 1), x, 6);
    const size_t width = before.size() / 6;
    for (size_t t = 0; t < 6; ++t) {
      if (t == 4) continue;
      for (size_t i = 0; i < width; ++i) ASSERT_TRUE(same(before[t * width + i], after[t * width + i]));
    }
    for (size_t i = 0; i < width; ++i) EXPECT_FALSE(std::isnan(after[4 * width + i]));
  }
}

TEST_F(MatmulTest, ProductsOfAPassAreIndependent) {
  const TestWeights a(TensorType::kQ4_K, 70, 512, Fill::kRandom, 15),
      b(TensorType::kQ6_K, 33, 512, Fill::kRandom, 16), c(TensorType::kQ4_K, 5, 512, Fill::kRandom, 17);
  const auto pool = pool_of(3);
  std::vector<Weights> all;
  for (int i = 0; i < 7; ++i)
    for (const TestWeights* w : {&a, &b, &c}) all.push_back(w->weights());
  for (int64_t tokens : {1, 9}) {
    const std::vector<float> x = activations(tokens, 512, 9);
    const auto together = multiply(*pool, all, x, tokens);
    const size_t width = together.size() / static_cast<size_t>(tokens);
    size_t at = 0;
    for (const Weights& w : all) {
      const auto alone = multiply(*pool, std::span(&w, 1), x, tokens);
      const size_t own = alone.size() / static_cast<size_t>(tokens);
      for (size_t t = 0; t < static_cast<size_t>(tokens); ++t)
        for (size_t i = 0; i < own; ++i) ASSERT_TRUE(same(alone[t * own + i], together[t * width + at + i]));
      at += own;
    }
  }
}

// Against a product in double of decoded weights and of activations that are rounded here, in another way.
TEST_F(MatmulTest, AgreesWithDecodedWeights) {
  const auto pool = pool_of(1);
  for (TensorType type : kTypes) {
    constexpr int64_t kCols = 768, kRows = 40, kTokens = 5;
    const TestWeights w(type, kRows, kCols, Fill::kRandom, 18);
    const std::vector<float> x = activations(kTokens, kCols, 10);
    std::vector<double> rounded(x.begin(), x.end());
    if (act_kind(type) != ActKind::kFloat) {
      const auto unit = static_cast<size_t>(type_info(type)->block_elems);
      for (size_t i = 0; i < x.size(); i += unit) {
        double largest = 0;
        for (size_t j = i; j < i + unit; ++j) largest = std::max(largest, std::abs(rounded[j]));
        const double step = largest < 1e-30 ? 0.0 : largest / 127;
        for (size_t j = i; j < i + unit; ++j)
          rounded[j] = step == 0 ? 0 : std::nearbyint(static_cast<float>(rounded[j] / step)) * step;
      }
    }
    const auto y = multiply(*pool, std::span(&w.weights(), 1), x, kTokens);
    std::vector<float> row(kCols);
    for (int64_t r = 0; r < kRows; ++r) {
      decode_weight_row(w.weights(), r, row.data());
      for (int64_t t = 0; t < kTokens; ++t) {
        double sum = 0, magnitude = 0;
        for (size_t k = 0; k < kCols; ++k) {
          sum += double{row[k]} * rounded[static_cast<size_t>(t * kCols) + k];
          magnitude += std::abs(double{row[k]} * rounded[static_cast<size_t>(t * kCols) + k]);
        }
        const float got = y[static_cast<size_t>(t) * (y.size() / kTokens) + static_cast<size_t>(r)];
        // An activation between two steps may round either way: 1e-3 covers one such in a hundred.
        ASSERT_NEAR(got, sum, 1e-5 * magnitude + 1e-30) << type_name(type) << " row " << r << " token " << t;
      }
    }
  }
}

TEST_F(MatmulTest, ExactProductsUseTheOrderOfFloatWeights) {
  constexpr int64_t kCols = 768, kRows = 37, kTokens = 3;
  const std::vector<float> x = activations(kTokens, kCols, 11);
  const auto pool = pool_of(3);
  for (TensorType type : kTypes) {
    const TestWeights w(type, kRows, kCols, Fill::kRandom, 19);
    std::vector<float> decoded(static_cast<size_t>(kRows * kCols));
    for (int64_t r = 0; r < kRows; ++r) decode_weight_row(w.weights(), r, decoded.data() + r * kCols);
    const Weights as_float = {reinterpret_cast<const std::byte*>(decoded.data()), TensorType::kF32, kRows,
                              kCols};
    for (Isa isa : isas()) {
      set_isa_for_test(isa);
      const auto want = multiply(*pool, std::span(&as_float, 1), x, kTokens);
      std::vector<float> got(want.size(), 12345.0f);
      AlignedBytes scratch(3 * matmul_scratch_bytes(kCols));
      const Product product = {w.weights(), got.data(), static_cast<int64_t>(want.size()) / kTokens};
      matmul_exact(*pool, std::span(&product, 1), x.data(), kCols, kTokens, scratch.get());
      expect_same(want, got, describe(w.weights(), isa, kTokens));
    }
  }
}

TEST_F(MatmulTest, ExactProductsOfUnevenRows) {
  constexpr int64_t kCols = 45;
  const TestWeights w(TensorType::kF32, 20, kCols, Fill::kRandom, 20);
  const std::vector<float> x = activations(4, kCols, 12);
  const auto pool = pool_of(1);
  const auto want = multiply(*pool, std::span(&w.weights(), 1), x, 4);
  for (Isa isa : isas()) {
    set_isa_for_test(isa);
    std::vector<float> got(want.size(), 12345.0f);
    AlignedBytes scratch(matmul_scratch_bytes(kCols));
    const Product product = {w.weights(), got.data(), static_cast<int64_t>(want.size()) / 4};
    matmul_exact(*pool, std::span(&product, 1), x.data(), kCols, 4, scratch.get());
    expect_same(want, got, isa_name(isa));
  }
}

TEST_F(MatmulTest, ABufferForManyTokensServesFewer) {
  for (ActKind kind : {ActKind::kFloat, ActKind::kInt8Per32, ActKind::kInt8Per256})
    for (int64_t n_cols : {256, 768, 2048, 14336})
      for (int64_t tokens = 1; tokens < 300; ++tokens)
        EXPECT_LE(act_bytes(kind, n_cols, tokens), act_bytes(kind, n_cols, tokens + 1));
}

}  // namespace
}  // namespace quipu::kernels
