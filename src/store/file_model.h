// A GGUF file anywhere on disk as a model: without a manifest, with what its header says.
//
// Threads: reads the file; no state.
#pragma once

#include <string>

#include "base/result.h"
#include "store/model_info.h"

namespace quipu::store {

// kNotFound, kCorrupt, kUnsupported: as GgufHeader::read.
Result<ModelInfo> read_file_model(const std::string& path);

}  // namespace quipu::store
