// What the store tells of a GGUF file: the few facts of its header that lists of models and their details
// need.
//
// Threads: values; a GgufFactsCache from any thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/digest.h"
#include "base/result.h"
#include "store/gguf_header.h"

namespace quipu::store {

struct GgufFacts {
  std::string architecture;
  std::string kind;  // general.type: "model", "adapter", "projector", ...
  uint64_t parameter_count = 0;
  std::string file_type;  // of general.file_type: "Q4_K_M"
  uint64_t context_length = 0, embedding_length = 0;
  bool has_blocks = false;  // ARCH.block_count above 0
  bool has_pooling = false;
  bool has_vision = false, has_audio = false;  // ARCH.vision.block_count, ARCH.audio.block_count
  bool has_vision_encoder = false, has_audio_encoder = false;
  std::string vision_projector_type;
  std::string chat_template;
  uint64_t split_number = 0, split_count = 0;  // of a part: from 0; count 0: it is not split

  bool is_adapter() const { return kind == "adapter"; }
  bool is_projector() const;
};

GgufFacts facts_of(const GgufHeader& header);

// "Q4_K_M" for 15, as llama.cpp numbers its mixtures; "unknown" for numbers without a name, and for 0, which
// files without any have too.
std::string file_type_name(uint64_t file_type);

// "8B", "8.0B", "134.52M", "998K".
std::string format_parameter_count(uint64_t n);

// Facts by the digest of the blob they come from, which never changes.
class GgufFactsCache {
 public:
  // kNotFound etc. as GgufHeader::read; failures are not kept.
  Result<std::shared_ptr<const GgufFacts>> get(const Digest& digest, const std::string& path);

 private:
  static constexpr size_t kMost = 1024;
  std::mutex mutex_;
  std::map<Digest, std::shared_ptr<const GgufFacts>> facts_;
};

}  // namespace quipu::store
