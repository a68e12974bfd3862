// The run options of a request, by their public names.
#pragma once

#include "base/unknown_options.h"
#include "engine/request.h"
#include "runner/json_body.h"

namespace quipu::runner {

// Reads an "options" object into o. Integers accept any JSON number and are truncated; null is skipped;
// unknown keys are ignored. A wrong type or a value out of range is an error that names the option.
Result<void> read_options(const Json& options, GenerateOptions& o, UnknownOptions& unknown);

}  // namespace quipu::runner
