// The run options of a request, by their public names.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

#include "engine/request.h"

namespace quipu::runner {

// Reads an "options" object into o. Integers accept any JSON number and are truncated; null is skipped;
// unknown keys are ignored with a warning in the log. A wrong type or a value out of range is an error that
// names the option.
Result<void> read_options(const nlohmann::json& options, GenerateOptions& o);

// The cache's type was decided when the model was loaded ("f16:f16"); an option kv_cache_type that asks for
// another one is an error.
Result<void> check_kv_cache_type(const nlohmann::json& options, std::string_view loaded);

}  // namespace quipu::runner
