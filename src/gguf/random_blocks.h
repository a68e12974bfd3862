// Random but valid blocks of a format, whose values have mean 0 and about a given spread. For tests and
// benchmarks.
//
// Threads: immutable.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "quant/type.h"

namespace quipu::gguf {

class RandomBlocks {
 public:
  // `type` must be computable.
  RandomBlocks(TensorType type, float spread, uint64_t seed) : type_(type), spread_(spread), seed_(seed) {}

  // The bytes that lie `offset` into the tensor; both offset and length are whole blocks. What a block holds
  // depends on its position and the seed alone, not on how the tensor is cut into pieces.
  void fill(uint64_t offset, std::span<std::byte> piece) const;

 private:
  TensorType type_;
  float spread_;
  uint64_t seed_;
};

}  // namespace quipu::gguf
