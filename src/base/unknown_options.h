// Options of requests that nobody knows: each is warned of once, for clients send the same ones with every
// request.
//
// Threads: any.
#pragma once

#include <mutex>
#include <set>
#include <string>
#include <string_view>

namespace quipu {

// Whoever makes names up, many or long ones, fills neither the log nor memory.
class UnknownOptions {
 public:
  void warn(std::string_view name);

 private:
  std::mutex mutex_;
  std::set<std::string, std::less<>> names_;
};

}  // namespace quipu
