#include "base/unknown_options.h"

#include "base/log.h"

namespace quipu {

void UnknownOptions::warn(std::string_view name) {
  constexpr size_t kMostNames = 100, kMostBytes = 100;
  const std::string_view shown = name.substr(0, kMostBytes);
  const std::lock_guard lock(mutex_);
  if (names_.size() == kMostNames || names_.contains(shown)) return;
  names_.emplace(shown);
  spdlog::warn("invalid option provided: {}{}", shown, shown.size() < name.size() ? "…" : "");
}

}  // namespace quipu
