// The run options of a request, by their public names.
#pragma once

#include <nlohmann/json.hpp>

#include "engine/request.h"

namespace quipu::runner {

// Reads an "options" object into o. Integers accept any JSON number and are truncated; null is skipped; unknown keys are
// ignored with a warning in the log. A wrong type or a value out of range is an error that names the option.
Result<void> read_options(const nlohmann::json& options, GenerateOptions& o);

}  // namespace quipu::runner
