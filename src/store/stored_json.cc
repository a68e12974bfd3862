#include "store/stored_json.h"

namespace quipu::store {

namespace {

// Brackets outside texts; of what is no JSON any answer will do.
bool nests_too_deeply(std::string_view bytes) {
  size_t depth = 0;
  bool in_text = false;
  for (size_t i = 0; i < bytes.size(); ++i) {
    const char c = bytes[i];
    if (in_text) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        in_text = false;
    } else if (c == '"') {
      in_text = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kMostStoredNesting) return true;
    } else if ((c == ']' || c == '}') && depth > 0) {
      --depth;
    }
  }
  return false;
}

}  // namespace

nlohmann::json parse_stored_json(std::string_view bytes) {
  if (nests_too_deeply(bytes)) return nlohmann::json(nlohmann::json::value_t::discarded);
  return nlohmann::json::parse(bytes, nullptr, false);
}

}  // namespace quipu::store
