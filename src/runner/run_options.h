// The run options of a request, by their public names.
#pragma once

#include <mutex>
#include <set>
#include <string>
#include <string_view>

#include "engine/request.h"
#include "runner/json_body.h"

namespace quipu::runner {

// Options that nobody knows: each is warned of once, for clients send the same ones with every request.
//
// Threads: any.
class UnknownOptions {
 public:
  void warn(std::string_view name);

 private:
  std::mutex mutex_;
  std::set<std::string, std::less<>> names_;
};

// Reads an "options" object into o. Integers accept any JSON number and are truncated; null is skipped;
// unknown keys are ignored. A wrong type or a value out of range is an error that names the option.
Result<void> read_options(const Json& options, GenerateOptions& o, UnknownOptions& unknown);

}  // namespace quipu::runner
