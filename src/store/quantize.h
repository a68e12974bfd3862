// Which type each tensor of a quantised model gets. Spec: gguf-and-models 2.6, ollama-compat 7.4.
//
// Threads: pure functions.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "store/gguf_header.h"

namespace quipu::store {

struct Quantization {
  std::string name;    // "Q4_K_M"
  uint32_t file_type;  // general.file_type
  TensorType most;     // what most tensors get
};

// F32, F16, BF16, Q8_0, Q4_K_S, Q4_K_M (also as Q4_K), in any case. Others are kUnsupported in Ollama's
// words.
Result<Quantization> parse_quantization(std::string_view text);

// By the tensor's name, for those that change. kUnsupported: a tensor would need a type that this build
// cannot write.
Result<std::map<std::string, TensorType, std::less<>>> choose_types(const gguf::File& file,
                                                                    const Quantization& quantization);

}  // namespace quipu::store
