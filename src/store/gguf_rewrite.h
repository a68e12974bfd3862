// Writes a GGUF file anew: the parts of a split one as a single file, or tensors in other types.
//
// Threads: reads and writes files; no state.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "store/gguf_header.h"

namespace quipu::store {

struct GgufPart {
  const GgufHeader* header;
  std::string path;
};

struct RewriteOptions {
  // The type that a tensor is written in; empty: as it is. Only from F32, F16 and BF16, to a type that this
  // build can encode; of tensors whose rows fit the type's blocks.
  std::function<TensorType(const gguf::Tensor&)> type_of;
  std::optional<uint32_t> file_type;  // general.file_type, with general.quantization_version 2
  // Bytes of the sources that have been read. False: give up, which is kCancelled.
  std::function<bool(uint64_t done, uint64_t total)> progress;
};

// Metadata from the first part, without what says that it is one; tensors of all parts in order.
Result<void> rewrite_gguf(std::span<const GgufPart> parts, const RewriteOptions& options,
                          const std::string& path);

}  // namespace quipu::store
