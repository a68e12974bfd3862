// The config blob of a model that is being created.
//
// Threads: pure functions.
#pragma once

#include <nlohmann/json.hpp>

#include "base/result.h"
#include "store/config_blob.h"
#include "store/layer_list.h"

namespace quipu::store {

// What a request's "info" overrides. kInvalidArgument names a field of the wrong type, in Ollama's words.
Result<void> apply_info(const nlohmann::json& info, ConfigBlob& config);

// Fills in what the files tell and nobody has said before. Families whose prompts are made by built-in code
// get its names, and the stop texts that go with it in `parameters`.
void describe_files(const LayerList& layers, ConfigBlob& config, nlohmann::json& parameters);

}  // namespace quipu::store
