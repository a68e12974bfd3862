// Weights and activations for the tests of the matrix products.
#pragma once

#include <sys/mman.h>

#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/checked.h"
#include "base/cpu.h"
#include "kernels/dispatch.h"
#include "kernels/matmul.h"
#include "quant/codec.h"

namespace quipu::kernels::test {

inline constexpr TensorType kTypes[] = {TensorType::kF32,  TensorType::kF16,  TensorType::kBF16,
                                        TensorType::kQ4_0, TensorType::kQ4_1, TensorType::kQ8_0,
                                        TensorType::kQ4_K, TensorType::kQ6_K};

inline std::vector<Isa> isas() {
  std::vector<Isa> out;
  for (Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512})
    if (isa <= best_isa()) out.push_back(isa);
  return out;
}

// Bytes that end where a page ends, with an unreadable page after them: weights may be the end of a mapped
// file.
class GuardedBytes {
 public:
  explicit GuardedBytes(size_t n) : size_(n), mapped_(round_up<size_t>(n + 1, kPage) + kPage) {
    base_ = static_cast<std::byte*>(
        mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    mprotect(base_ + mapped_ - kPage, kPage, PROT_NONE);
  }
  ~GuardedBytes() { munmap(base_, mapped_); }
  GuardedBytes(const GuardedBytes&) = delete;
  GuardedBytes& operator=(const GuardedBytes&) = delete;
  std::byte* data() { return base_ + mapped_ - kPage - size_; }
  size_t size() const { return size_; }

 private:
  static constexpr size_t kPage = 4096;
  size_t size_, mapped_;
  std::byte* base_;
};

enum class Fill {
  kRandom,   // any quants, moderate factors
  kHighest,  // all quants and scales at their upper ends
  kLowest,   // and at their lower ones
  kWild,     // any bytes at all, NaN and infinite factors included
};

class TestWeights {
 public:
  TestWeights(TensorType type, int64_t n_rows, int64_t n_cols, Fill fill, uint64_t seed)
      : bytes_(static_cast<size_t>(*row_bytes(type, n_cols)) * static_cast<size_t>(n_rows)) {
    w_ = {bytes_.data(), type, n_rows, n_cols};
    std::mt19937_64 random(seed);
    auto* p = reinterpret_cast<uint8_t*>(bytes_.data());
    for (size_t i = 0; i < bytes_.size(); ++i) p[i] = static_cast<uint8_t>(random());
    if (fill == Fill::kWild) return;
    const auto block = static_cast<size_t>(type_info(type)->block_bytes);
    for (size_t at = 0; at < bytes_.size(); at += block) tame(p + at, fill, random);
  }
  const Weights& weights() const { return w_; }

 private:
  void tame(uint8_t* b, Fill fill, std::mt19937_64& random) const {
    const bool extreme = fill != Fill::kRandom;
    const auto put = [](uint8_t* to, auto v) { std::memcpy(to, &v, sizeof v); };
    // Of either sign, about 0.01 .. 0.3
    const auto factor = [&] {
      const auto m = static_cast<float>(random() % 1000) * 3e-4f + 0.01f;
      return float_to_half(random() % 2 ? m : -m);
    };
    const uint8_t quants = fill == Fill::kHighest ? 0xff : 0;
    switch (w_.type) {
      case TensorType::kF32:
        put(b, std::normal_distribution<float>()(random));
        return;
      case TensorType::kF16:
        put(b, float_to_half(std::normal_distribution<float>()(random)));
        return;
      case TensorType::kBF16:
        put(b, float_to_bf16(std::normal_distribution<float>()(random)));
        return;
      case TensorType::kQ4_0:
        put(b, factor());
        if (extreme) std::memset(b + 2, quants, 16);
        return;
      case TensorType::kQ4_1:
        put(b, factor());
        put(b + 2, factor());
        if (extreme) std::memset(b + 4, quants, 16);
        return;
      case TensorType::kQ8_0:
        put(b, factor());
        if (extreme) std::memset(b + 2, fill == Fill::kHighest ? 0x7f : 0x80, 32);
        return;
      case TensorType::kQ4_K:
        put(b, factor());
        put(b + 2, factor());
        if (extreme) std::memset(b + 4, quants, 140);
        return;
      case TensorType::kQ6_K:
        put(b + 208, factor());
        if (extreme) {
          std::memset(b, quants, 192);
          std::memset(b + 192, random() % 2 ? 0x7f : 0x80, 16);
        }
        return;
    }
  }

  GuardedBytes bytes_;
  Weights w_;
};

class AlignedBytes {
 public:
  explicit AlignedBytes(size_t n) : p_(new(std::align_val_t(64)) std::byte[n + 1]) {}
  std::byte* get() { return p_.get(); }

 private:
  struct Delete {
    void operator()(std::byte* p) const { operator delete[](p, std::align_val_t(64)); }
  };
  std::unique_ptr<std::byte[], Delete> p_;
};

// y of one product: all tokens of x [n_tokens, n_cols]; rows of y are `gap` floats longer than needed, and
// those must not be touched.
inline std::vector<float> multiply(ThreadPool& pool, std::span<const Weights> ws, const std::vector<float>& x,
                                   int64_t n_tokens) {
  constexpr int64_t kGap = 3;
  const int64_t n_cols = ws[0].n_cols;
  const ActKind kind = act_kind(ws[0].type);
  AlignedBytes acts(act_bytes(kind, n_cols, n_tokens));
  AlignedBytes scratch(static_cast<size_t>(pool.size()) * matmul_scratch_bytes(n_cols));
  int64_t width = 0;
  for (const Weights& w : ws) width += w.n_rows + kGap;
  std::vector<float> y(static_cast<size_t>(n_tokens * width), 12345.0f);
  std::vector<Product> products;
  int64_t at = 0;
  for (const Weights& w : ws) {
    products.push_back({w, y.data() + at, width});
    at += w.n_rows + kGap;
  }
  prepare(pool, kind, x.data(), n_cols, n_cols, n_tokens, acts.get());
  matmul(pool, products, acts.get(), n_tokens, scratch.get());
  return y;
}

}  // namespace quipu::kernels::test
