#include "chat/template_detect.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>
#include <utility>

#include "chat/go/text.h"
#include "chat/known_templates/files.h"

namespace quipu {

namespace {

constexpr size_t kTooFar = 100;

std::u32string characters(std::string_view text) {
  std::u32string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const gotmpl::Rune r = gotmpl::decode_rune(text.substr(i));
    out += r.value;
    i += r.width;
  }
  return out;
}

std::string_view file(std::string_view name) {
  for (const EmbeddedFile& f : known_template_files())
    if (f.name == name) return f.text;
  return {};
}

// "jinja/07.chatml.jinja": the name in the middle. Empty for other files.
std::string_view known_name(std::string_view path) {
  constexpr std::string_view kFolder = "jinja/", kEnd = ".jinja";
  if (!path.starts_with(kFolder) || !path.ends_with(kEnd)) return {};
  path.remove_prefix(path.find('.') + 1);
  path.remove_suffix(kEnd.size());
  return path;
}

}  // namespace

std::optional<size_t> edit_distance(std::u32string_view a, std::u32string_view b, size_t limit) {
  if (a.size() > b.size()) std::swap(a, b);
  if (limit == 0 || b.size() - a.size() >= limit) return std::nullopt;
  // Row by row, but only where the rows' numbers can be below the limit: a band around the diagonal.
  const size_t band = limit - 1;
  std::vector<size_t> above(a.size() + 1), row(a.size() + 1);
  for (size_t j = 0; j <= std::min(band, a.size()); ++j) above[j] = j;
  for (size_t i = 1; i <= b.size(); ++i) {
    const size_t first = i > band ? i - band : 0, last = std::min(i + band, a.size());
    size_t least = limit;
    for (size_t j = first; j <= last; ++j) {
      size_t d = j == 0 ? i : above[j - 1] + (a[j - 1] != b[i - 1] ? 1 : 0);
      if (j > first) d = std::min(d, row[j - 1] + 1);
      if (j < i + band) d = std::min(d, above[j] + 1);  // further right the row above has nothing
      row[j] = d;
      least = std::min(least, d);
    }
    if (least >= limit) return std::nullopt;
    std::swap(above, row);
  }
  return above[a.size()] < limit ? std::optional(above[a.size()]) : std::nullopt;
}

std::optional<DetectedTemplate> detect_template(std::string_view jinja) {
  const std::u32string text = characters(jinja);
  std::string_view nearest;
  size_t limit = kTooFar;
  for (const EmbeddedFile& f : known_template_files()) {
    const std::string_view name = known_name(f.name);
    if (name.empty()) continue;
    if (const auto distance = edit_distance(text, characters(f.text), limit)) {
      nearest = name;
      limit = *distance;
    }
  }
  if (nearest.empty()) return std::nullopt;
  DetectedTemplate found{std::string(nearest), std::string(file(std::string(nearest) + ".gotmpl")), {}};
  const auto stops = nlohmann::json::parse(file("stop.json"), nullptr, false);
  if (const auto it = stops.find(found.name); it != stops.end() && it->is_array())
    for (const auto& stop : *it) found.stop.push_back(stop.get<std::string>());
  return found;
}

}  // namespace quipu
