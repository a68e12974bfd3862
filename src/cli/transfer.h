// Requests that report steps and transfers as they go: pull, push, create.
#pragma once

#include <string>

#include "cli/api.h"
#include "cli/progress.h"

namespace quipu::cli {

// Streams the request's progress objects to `progress`; returns when the server says it is done.
// A transfer gets the label of its status: "pulling 941f309b54ca:".
Result<void> follow_progress(Api& api, const std::string& path, const Json& body, Console& console,
                             Progress& progress);

// Pulls a model, with its progress on standard error.
Result<void> pull_model(Api& api, const std::string& model, bool insecure, Console& console);

}  // namespace quipu::cli
