// A request's body that is too large to hold: sent as it is read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "base/result.h"

namespace quipu::http {

// Threads: used by one request at a time; its functions are called on the thread that sends.
struct Upload {
  uint64_t bytes = 0;  // all of it: the Content-Length
  // Fills the front of `into` with what comes next, and says how much that is. Nothing before the end fails
  // the request.
  std::function<Result<size_t>(std::span<char> into)> read;
  std::function<void(uint64_t sent)> on_sent = {};  // after every piece

  // What the file has now. If it becomes shorter the request fails.
  static Result<Upload> of_file(const std::string& path);
};

}  // namespace quipu::http
