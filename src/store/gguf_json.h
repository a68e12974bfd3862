// Metadata and tensor table of a GGUF file as JSON, as /api/show has them.
//
// Threads: pure functions.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "gguf/file.h"

namespace quipu::store {

// Keys sorted; without general.name and the chat template. general.parameter_count is computed where it is
// missing, and general.quantization_version is said where it goes without saying. Lists are null unless
// `lists`. `basename`, if not empty, stands for general.basename.
nlohmann::ordered_json metadata_json(const gguf::File& file, bool lists, const std::string& basename = {});

// [{"name","type","shape"}] in block order, as Ollama's own files have them.
nlohmann::ordered_json tensors_json(const gguf::File& file);

}  // namespace quipu::store
