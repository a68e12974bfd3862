// Models as the native API describes them: /api/tags and /api/show. Spec: ollama-compat 1.10, 1.11, 1.3.5.
//
// Threads: as the ModelReader.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "store/model_info.h"

namespace quipu::store {

using Json = nlohmann::ordered_json;

// {"parent_model","format","family","families","parameter_size","quantization_level"}, with `lengths` also
// context_length and embedding_length, where they are known.
Json details_json(const ModelInfo& info, bool lengths);

// One element of /api/tags' list.
Json tag_json(const ModelInfo& info);

// All of them, the most recently modified first (by whole seconds, then by name). What cannot be read is left
// out with a warning in the log.
Json tags_json(const Store& store, ModelReader& reader);

struct ShowOptions {
  bool verbose = false;
  std::string system = {};                            // shown in place of the model's, if not empty
  nlohmann::json options = nlohmann::json::object();  // shown over the model's in "modelfile"
  std::string basename = {};                          // shown as general.basename, if not empty
};
Result<Json> show_json(const ModelInfo& info, const ShowOptions& options);

// What show_json() has as "modelfile": it can be created from again.
std::string modelfile_text(const ModelInfo& info, const std::string& system,
                           const nlohmann::json& parameters);

// A time in RFC 3339 with the local offset, trailing zeros of the fraction dropped:
// "2025-03-01T12:00:00.5+01:00".
std::string format_time(int64_t ns_since_1970);

}  // namespace quipu::store
