#include "kernels/ops.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "kernels/dispatch.h"

namespace quipu::kernels {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

std::vector<Isa> isas() {
  std::vector<Isa> list;
  for (Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512})
    if (isa <= best_isa()) list.push_back(isa);
  return list;
}

std::vector<float> random_floats(size_t n, unsigned seed, float range = 1.0f) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> value(-range, range);
  std::vector<float> v(n);
  for (float& x : v) x = value(random);
  return v;
}

// Values that break careless code, mixed into ordinary ones.
std::vector<float> hard_floats(size_t n, unsigned seed) {
  const float hard[] = {0.0f,     -0.0f,     1e-45f,     -1e-45f,    1e-39f,    1.17549435e-38f,
                        65504.0f, 88.72283f, -88.72284f, -87.33654f, 87.33655f, 1e10f,
                        -1e10f,   3e18f,     -3e18f,     0.5f,       100.0f,    -103.9f};
  std::vector<float> v = random_floats(n, seed, 8.0f);
  for (size_t i = seed % 3; i < n; i += 3) v[i] = hard[(i / 3 + seed) % std::size(hard)];
  return v;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// Runs fn with every instruction set; all must give the bits of the scalar one.
template <class Fn>
void expect_same_everywhere(Fn fn, const char* what, size_t n) {
  const Isa before = active_isa();
  set_isa_for_test(Isa::kScalar);
  const std::vector<float> reference = fn();
  for (Isa isa : isas()) {
    set_isa_for_test(isa);
    EXPECT_TRUE(same_bits(reference, fn())) << what << " of " << n << " with " << isa_name(isa);
  }
  set_isa_for_test(before);
}

std::vector<size_t> sizes() {
  std::vector<size_t> list;
  for (size_t n = 1; n <= 100; ++n) list.push_back(n);
  for (size_t n : {576u, 1000u, 1536u, 2048u}) list.push_back(n);
  return list;
}

TEST(Ops, SameBitsOnEveryInstructionSet) {
  for (size_t n : sizes()) {
    const int64_t len = static_cast<int64_t>(n);
    for (unsigned seed : {1u, 2u}) {
      const auto x = seed == 1 ? random_floats(n, seed) : hard_floats(n, seed);
      const auto y = seed == 1 ? random_floats(n, seed + 10) : hard_floats(n, seed + 10);
      const auto copy_and = [&](auto fn) {
        return [&, fn] {
          std::vector<float> v = x;
          v.resize(n + 1, 77.0f);  // nothing behind the end is touched
          fn(v.data());
          return v;
        };
      };
      expect_same_everywhere(copy_and([&](float* v) { rms_norm(v, y.data(), 1e-5f, len, v); }), "rms_norm",
                             n);
      expect_same_everywhere(copy_and([&](float* v) { swiglu(v, y.data(), len); }), "swiglu", n);
      expect_same_everywhere(copy_and([&](float* v) { add(v, y.data(), len); }), "add", n);
      expect_same_everywhere(copy_and([&](float* v) { add_scaled(v, y.data(), 0.22f, len); }), "add_scaled",
                             n);
      expect_same_everywhere(copy_and([&](float* v) { scale(v, 1.7f, len); }), "scale", n);
      const int pairs = static_cast<int>(n / 2);
      const auto angles = random_floats(n, seed + 20);
      expect_same_everywhere(copy_and([&](float* v) {
                               rope_neighbours(v, 1, len, pairs, angles.data(), angles.data() + pairs);
                             }),
                             "rope_neighbours", n);
    }
  }
}

TEST(Ops, RmsNormIsRight) {
  for (size_t n : {1u, 31u, 576u, 2048u}) {
    const auto x = random_floats(n, 5, 3.0f), w = random_floats(n, 6, 2.0f);
    double sum = 0;
    for (float v : x) sum += static_cast<double>(v) * v;
    const double factor = 1 / std::sqrt(sum / static_cast<double>(n) + 1e-5);
    std::vector<float> y(n);
    rms_norm(x.data(), w.data(), 1e-5f, static_cast<int64_t>(n), y.data());
    for (size_t i = 0; i < n; ++i)
      EXPECT_NEAR(y[i], x[i] * factor * w[i], 1e-6 * std::fabs(x[i] * factor * w[i]));
  }
}

// silu alone (up = 1): its exp is good to about one unit of the last place.
TEST(Ops, SwigluIsRight) {
  std::vector<float> gate;
  for (float x = -80.0f; x < 80.0f; x += 0.00137f) gate.push_back(x);
  const std::vector<float> x = gate, up(gate.size(), 1.0f);
  swiglu(gate.data(), up.data(), static_cast<int64_t>(gate.size()));
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double exact = x[i] / (1 + std::exp(-static_cast<double>(x[i])));
    if (exact != 0) worst = std::max(worst, std::fabs((gate[i] - exact) / exact));
  }
  EXPECT_LT(worst, 2.5 * 0x1p-23);  // exp, sum, quotient
}

TEST(Ops, SwigluOfExtremes) {
  for (Isa isa : isas()) {
    const Isa before = active_isa();
    set_isa_for_test(isa);
    std::vector<float> gate = {-1e30f, 1e30f, -200.0f, 200.0f, 0.0f, -0.0f, kInf, std::nanf("")};
    gate.resize(40, 1.0f);
    const std::vector<float> up(gate.size(), 2.0f);
    swiglu(gate.data(), up.data(), static_cast<int64_t>(gate.size()));
    EXPECT_EQ(gate[0], 0.0f);
    EXPECT_EQ(gate[1], 2e30f);
    EXPECT_EQ(gate[2], 0.0f);
    EXPECT_EQ(gate[3], 400.0f);
    EXPECT_EQ(gate[4], 0.0f);
    EXPECT_EQ(gate[5], 0.0f);
    EXPECT_EQ(gate[6], kInf);
    EXPECT_TRUE(std::isnan(gate[7]));
    set_isa_for_test(before);
  }
}

TEST(Ops, RopeNeighboursRotatesOnlyItsPairs) {
  constexpr int kHeads = 3, kDim = 96, kPairs = 40, kStride = 100;
  const auto x = random_floats(kHeads * kStride, 7);
  RopeParams p;
  p.n_rot = 2 * kPairs;
  std::vector<float> c(kPairs), s(kPairs);
  rope_angles(p, 1234, c.data(), s.data());
  auto y = x;
  rope_neighbours(y.data(), kHeads, kStride, kPairs, c.data(), s.data());
  for (int h = 0; h < kHeads; ++h) {
    for (int i = 0; i < kStride; ++i) {
      const size_t at = static_cast<size_t>(h * kStride + i);
      if (i >= 2 * kPairs) {
        EXPECT_EQ(y[at], x[at]);
        continue;
      }
      const size_t pair = static_cast<size_t>(i / 2), a = at - static_cast<size_t>(i % 2);
      const double cc = c[pair], ss = s[pair];
      const double exact = i % 2 == 0 ? x[a] * cc - x[a + 1] * ss : x[a] * ss + x[a + 1] * cc;
      EXPECT_NEAR(y[at], exact, 2e-7);
    }
  }
  static_assert(kDim <= kStride);
}

TEST(Rope, AnglesFollowTheIteratedProduct) {
  RopeParams p;
  p.n_rot = 64;
  p.freq_base = 100000.0f;
  float c[32], s[32];
  for (int64_t position : {0, 1, 777, 8191, 131071, 16777216}) {
    rope_angles(p, position, c, s);
    const float step = std::pow(100000.0f, -2.0f / 64.0f);
    float angle = static_cast<float>(position);
    for (int i = 0; i < 32; ++i, angle *= step) {
      EXPECT_EQ(c[i], static_cast<float>(std::cos(static_cast<long double>(angle)))) << position << " " << i;
      EXPECT_EQ(s[i], static_cast<float>(std::sin(static_cast<long double>(angle)))) << position << " " << i;
    }
  }
}

TEST(Rope, FactorsAndLinearScaling) {
  const std::vector<float> factors = {1.0f, 2.0f, 8.0f, 32.0f};
  RopeParams p;
  p.n_rot = 8;
  p.freq_scale = 0.25f;
  p.factors = factors;
  p.attn_factor = 1.5f;
  float c[4], s[4];
  rope_angles(p, 100, c, s);
  const float step = std::pow(10000.0f, -0.25f);
  float angle = 100.0f;
  for (size_t i = 0; i < 4; ++i, angle *= step) {
    const float theta = angle / factors[i] * 0.25f;
    EXPECT_NEAR(c[i], 1.5 * std::cos(static_cast<double>(theta)), 2e-7);
    EXPECT_NEAR(s[i], 1.5 * std::sin(static_cast<double>(theta)), 2e-7);
  }
}

// n_rot 64, base 150000, original context 4096, factor 32: the ramp runs from pair 8 to pair 18.
TEST(Rope, YarnRampAndMagnitude) {
  RopeParams p;
  p.n_rot = 64;
  p.freq_base = 150000.0f;
  p.freq_scale = 1.0f / 32.0f;
  p.ext_factor = 1.0f;
  p.n_ctx_orig = 4096;
  constexpr int64_t kPosition = 7;
  float c[32], s[32];
  rope_angles(p, kPosition, c, s);
  const float step = std::pow(150000.0f, -2.0f / 64.0f);
  float angle = static_cast<float>(kPosition);
  for (int i = 0; i < 32; ++i, angle *= step) {
    const double ramp = 1 - std::clamp((i - 8) / 10.0, 0.0, 1.0);
    const double theta = angle / 32.0 * (1 - ramp) + angle * ramp;
    EXPECT_NEAR(std::hypot(c[i], s[i]), 1.346574, 1e-6);
    EXPECT_NEAR(c[i], 1.346574 * std::cos(theta), 3e-6) << i;
    EXPECT_NEAR(s[i], 1.346574 * std::sin(theta), 3e-6) << i;
  }
}

// Parameters as a broken file might give them: any result, but no crash and no undefined behaviour.
TEST(Rope, NonsenseParametersAreHarmless) {
  float c[32], s[32];
  for (float base : {0.0f, -1.0f, kInf, std::nanf(""), 1e-30f}) {
    for (float scale : {0.0f, kInf, -1.0f}) {
      RopeParams p;
      p.n_rot = 64;
      p.freq_base = base;
      p.freq_scale = scale;
      p.ext_factor = 1.0f;
      rope_angles(p, std::numeric_limits<int64_t>::max(), c, s);
    }
  }
}

// The sizes that head sizes give, and smaller and larger ones; rows of one head and of several.
struct HadamardShape {
  int64_t size, n_heads;
};
std::vector<HadamardShape> hadamard_shapes() {
  std::vector<HadamardShape> list;
  for (int64_t size = 8; size <= 512; size *= 2)
    for (int64_t n_heads : {1, 2, 3, 9}) list.push_back({size, n_heads});
  return list;
}

std::vector<float> transformed(std::vector<float> x, int64_t size) {
  hadamard(x.data(), static_cast<int64_t>(x.size()), size);
  return x;
}

TEST(Hadamard, SameBitsOnEveryInstructionSet) {
  for (const auto& [size, n_heads] : hadamard_shapes()) {
    const auto n = static_cast<size_t>(size * n_heads);
    for (unsigned seed : {1u, 2u}) {
      const auto x = seed == 1 ? random_floats(n, seed) : hard_floats(n, seed);
      expect_same_everywhere(
          [&] {
            std::vector<float> v = x;
            v.resize(n + 1, 77.0f);  // nothing behind the end is touched
            hadamard(v.data(), size * n_heads, size);
            EXPECT_EQ(v.back(), 77.0f);
            return v;
          },
          "hadamard", n);
    }
  }
}

// Row i, column j of the matrix: 1/sqrt(size), negative where i and j have an odd number of ones in common.
TEST(Hadamard, IsTheMatrix) {
  for (const auto& [size, n_heads] : hadamard_shapes()) {
    const auto n = static_cast<size_t>(size);
    const auto x = random_floats(n * static_cast<size_t>(n_heads), 3, 2.0f);
    std::vector<double> exact(x.size());
    for (size_t i = 0; i < x.size(); ++i) {
      const size_t head = i / n * n;
      for (size_t j = 0; j < n; ++j) {
        const bool negative = std::popcount((i - head) & j) % 2 != 0;
        exact[i] += negative ? -static_cast<double>(x[head + j]) : static_cast<double>(x[head + j]);
      }
      exact[i] /= std::sqrt(static_cast<double>(size));
    }
    const Isa before = active_isa();
    for (Isa isa : isas()) {
      set_isa_for_test(isa);
      const auto y = transformed(x, size), again = transformed(y, size);
      for (size_t i = 0; i < x.size(); ++i) {
        ASSERT_NEAR(y[i], exact[i], 4e-6) << isa_name(isa) << ", " << size << ", value " << i;
        ASSERT_NEAR(again[i], x[i], 4e-6)
            << isa_name(isa) << ", " << size << ", its own inverse, value " << i;
      }
    }
    set_isa_for_test(before);
  }
}

TEST(Hadamard, KeepsProductsAndSpreadsWhatIsLarge) {
  for (const auto& [size, n_heads] : hadamard_shapes()) {
    const auto n = static_cast<size_t>(size * n_heads);
    const auto a = random_floats(n, 4, 2.0f), b = random_floats(n, 5, 2.0f);
    const auto ha = transformed(a, size), hb = transformed(b, size);
    for (size_t head = 0; head < n; head += static_cast<size_t>(size)) {
      double before = 0, after = 0;
      for (size_t i = head; i < head + static_cast<size_t>(size); ++i) {
        before += static_cast<double>(a[i]) * static_cast<double>(b[i]);
        after += static_cast<double>(ha[i]) * static_cast<double>(hb[i]);
      }
      EXPECT_NEAR(after, before, 1e-4) << size;
    }
    std::vector<float> spike(n, 0.0f);
    spike[0] = 8.0f;
    spike = transformed(spike, size);
    for (size_t i = 0; i < n; ++i)
      EXPECT_NEAR(spike[i], i < static_cast<size_t>(size) ? 8.0 / std::sqrt(static_cast<double>(size)) : 0.0,
                  1e-5);
  }
}

TEST(Hadamard, IsItsButterfliesBitForBit) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  for (int64_t size = 8; size <= 512; size *= 2) {
    std::vector<float> x(static_cast<size_t>(2 * size));
    for (float& v : x) v = normal(random);
    x[1] = -0.0f;
    std::vector<float> plain = x;
    const float norm = 1.0f / std::sqrt(static_cast<float>(size));
    for (size_t at = 0; at < plain.size(); at += static_cast<size_t>(size)) {
      for (size_t half = 1; half < static_cast<size_t>(size); half *= 2)
        for (size_t i = at; i < at + static_cast<size_t>(size); ++i)
          if (((i - at) & half) == 0) {
            const float a = plain[i], b = plain[i + half];
            plain[i] = a + b;
            plain[i + half] = a - b;
          }
      for (size_t i = at; i < at + static_cast<size_t>(size); ++i) plain[i] *= norm;
    }
    hadamard(x.data(), 2 * size, size);
    for (size_t i = 0; i < x.size(); ++i)
      ASSERT_EQ(std::bit_cast<uint32_t>(x[i]), std::bit_cast<uint32_t>(plain[i])) << size << " " << i;
  }
}

TEST(Ops, GoldenBits) {
  uint64_t hash = 0xcbf29ce484222325ull;
  const auto take = [&](const float* v, size_t n) {
    for (size_t i = 0; i < n; ++i) hash = (hash ^ std::bit_cast<uint32_t>(v[i])) * 0x100000001b3ull;
  };
  std::vector<float> x(1000), y(1000);
  uint32_t state = 1;
  for (size_t i = 0; i < 1000; ++i) {
    state = state * 1664525u + 1013904223u;
    x[i] = static_cast<float>(static_cast<int32_t>(state)) * 0x1p-27f;
    state = state * 1664525u + 1013904223u;
    y[i] = static_cast<float>(static_cast<int32_t>(state)) * 0x1p-31f;
  }
  swiglu(x.data(), y.data(), 1000);
  take(x.data(), 1000);
  rms_norm(x.data(), y.data(), 1e-5f, 1000, x.data());
  take(x.data(), 1000);
  RopeParams p;
  p.n_rot = 128;
  p.freq_base = 500000.0f;
  float c[64], s[64];
  for (int64_t position = 0; position < 20000; position += 37) {
    rope_angles(p, position, c, s);
    take(c, 64);
    take(s, 64);
  }
  EXPECT_EQ(hash, 6630407485536528374ull);
}

}  // namespace
}  // namespace quipu::kernels
