#include "server/keep_alive.h"

#include <algorithm>
#include <cmath>

#include "base/units.h"

namespace quipu::server {

namespace {

constexpr std::chrono::nanoseconds kForEver{-1};

}  // namespace

Result<KeepAlive> parse_keep_alive(const Json* value) {
  if (value == nullptr || value->is_null()) return KeepAlive();
  if (value->is_number()) {
    const double seconds = value->get<double>();
    if (seconds < 0) return KeepAlive(kForEver);
    return KeepAlive(std::chrono::nanoseconds(static_cast<int64_t>(std::min(seconds * 1e9, 9e18))));
  }
  if (value->is_string()) {
    QUIPU_ASSIGN(const int64_t ns, parse_duration_ns(value->get_ref<const std::string&>()));
    return KeepAlive(ns < 0 ? kForEver : std::chrono::nanoseconds(ns));
  }
  return error(Code::kInvalidArgument, "Unsupported type: '{}'",
               value->is_boolean() ? "bool"
               : value->is_array() ? "[]interface {}"
                                   : "map[string]interface {}");
}

Result<Json> parse_think(const Json* value) {
  if (value == nullptr || value->is_null()) return Json();
  if (value->is_boolean()) return *value;
  constexpr const char* kWords = "\"high\", \"medium\", \"low\", \"max\", true, or false";
  if (!value->is_string())
    return error(Code::kInvalidArgument, "think must be a boolean or string ({})", kWords);
  const auto& text = value->get_ref<const std::string&>();
  for (const char* level : {"low", "medium", "high", "max"})
    if (text == level) return *value;
  return error(Code::kInvalidArgument, "invalid think value: \"{}\" (must be {})", text, kWords);
}

}  // namespace quipu::server
