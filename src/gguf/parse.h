// The GGUF container: header, metadata, tensor table. Every number is checked against the bytes that are really there.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "gguf/file.h"

namespace quipu::gguf {

struct Parsed {
  std::vector<Entry> entries;
  std::vector<Tensor> tensors;
};

// The views in the result point into `bytes`.
Result<Parsed> parse_gguf(std::span<const std::byte> bytes, File::Options options);

}  // namespace quipu::gguf
