#include "cli/json.h"

namespace quipu::cli {

const Json& field_of(const Json& object, const std::string& key) {
  static const Json kNone;
  if (!object.is_object()) return kNone;
  const auto it = object.find(key);
  return it != object.end() ? *it : kNone;
}

int64_t number_of(const Json& object, const char* key, int64_t fallback) {
  const Json& value = field_of(object, key);
  if (value.is_number_float()) {
    const double d = value.get<double>();
    return d > -0x1p62 && d < 0x1p62 ? static_cast<int64_t>(d) : fallback;
  }
  return value.is_number() ? value.get<int64_t>() : fallback;
}

std::string text_of(const Json& object, const char* key) {
  const Json& value = field_of(object, key);
  return value.is_string() ? value.get<std::string>() : std::string();
}

bool flag_of(const Json& object, const char* key) {
  const Json& value = field_of(object, key);
  return value.is_boolean() && value.get<bool>();
}

std::string dump(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

Json parse_json(std::string_view text) { return Json::parse(text, nullptr, false); }

}  // namespace quipu::cli
