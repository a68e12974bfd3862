#include "quant/mix.h"

#include <algorithm>
#include <cctype>

namespace quipu {

namespace {

constexpr TensorType kQ2K{10}, kQ3K{11}, kQ5K{13};  // known by size alone

double bits_of(TensorType type) {
  const TypeInfo* t = type_info(type);
  return t == nullptr ? 0 : 8.0 * t->block_bytes / t->block_elems;
}

bool same_word(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](unsigned char x, unsigned char y) { return std::toupper(x) == std::toupper(y); });
}

}  // namespace

double Quantization::bits() const { return bits_of(main); }

bool Quantization::computable() const {
  return type_info(main)->computable && type_info(fine)->computable && type_info(output)->computable;
}

bool Quantization::needs_256() const { return type_info(main)->block_elems == 256; }

const std::vector<Quantization>& quantizations() {
  using enum TensorType;
  static const std::vector<Quantization> kAll = {
      {"F32", kF32, kF32, kF32, 0},         {"BF16", kBF16, kBF16, kBF16, 0},
      {"F16", kF16, kF16, kF16, 0},         {"Q8_0", kQ8_0, kQ8_0, kQ8_0, 0},
      {"Q6_K", kQ6_K, kQ6_K, kQ6_K, 0},     {"Q5_K_M", kQ5K, kQ6_K, kQ6_K, 0.5},
      {"Q5_K_S", kQ5K, kQ5K, kQ6_K, 0},     {"Q4_1", kQ4_1, kQ4_1, kQ6_K, 0},
      {"Q4_K_M", kQ4_K, kQ6_K, kQ6_K, 0.5}, {"Q4_K_S", kQ4_K, kQ5K, kQ6_K, 0.125},
      {"Q4_0", kQ4_0, kQ4_0, kQ6_K, 0},     {"Q3_K_M", kQ3K, kQ4_K, kQ6_K, 1},
      {"Q2_K", kQ2K, kQ3K, kQ6_K, 1},
  };
  return kAll;
}

const Quantization* find_quantization(std::string_view name) {
  for (const Quantization& q : quantizations())
    if (same_word(q.name, name)) return &q;
  return nullptr;
}

uint64_t estimated_bytes(const WeightCounts& c, const Quantization& q) {
  const auto count = [](int64_t n) { return static_cast<double>(std::max<int64_t>(n, 0)); };
  const double embedding = c.n_output > 0 ? bits_of(q.main) : bits_of(q.output);
  const double bits =
      count(c.n_embedding) * embedding + count(c.n_output) * bits_of(q.output) +
      count(c.n_value_down) * (q.fine_share * bits_of(q.fine) + (1 - q.fine_share) * bits_of(q.main)) +
      count(c.n_other) * bits_of(q.main) + count(c.n_vector) * 32;
  const double bytes = bits / 8 + static_cast<double>(c.header_bytes);
  constexpr double kHuge = 9.2e18;
  return bytes < kHuge ? static_cast<uint64_t>(bytes) : uint64_t{1} << 63;
}

}  // namespace quipu
