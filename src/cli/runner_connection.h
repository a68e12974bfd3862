// Talking to a runner: what the rest of the command line knows of the protocol's transport.
#pragma once

#include <string>
#include <string_view>

#include "base/function_ref.h"
#include "base/result.h"
#include "cli/run_options.h"

namespace quipu::cli {

// Threads: one call at a time; callbacks run on the caller's thread.
class RunnerConnection {
 public:
  virtual ~RunnerConnection() = default;

  virtual Result<Json> get(const std::string& path) = 0;

  // Streams an answer and returns its last line. on_text gets every piece; on_idle is called about every 100 ms while
  // nothing comes. When one of them returns false the request is cancelled and the result is kCancelled.
  virtual Result<Json> generate(const Json& request, FunctionRef<bool(std::string_view text)> on_text,
                                FunctionRef<bool()> on_idle) = 0;

  // Time of the last load, if it has not been reported yet; then 0.
  virtual int64_t take_load_ns() = 0;
};

}  // namespace quipu::cli
