#include "store/manifest.h"

#include <nlohmann/json.hpp>

#include "base/checked.h"
#include "base/go_json.h"
#include "store/stored_json.h"

namespace quipu::store {

namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr size_t kMostLayers = 10'000;  // more than any model has by far

std::unexpected<Error> corrupt(std::string_view why) {
  return error(Code::kCorrupt, "bad manifest: {}", why);
}

// Absent and null are empty.
Result<std::string> text_of(const json& object, const char* key) {
  const auto it = object.find(key);
  if (it == object.end() || it->is_null()) return std::string();
  if (!it->is_string()) return corrupt(fmt::format("{} is no text", key));
  return it->get<std::string>();
}

Result<Layer> layer_of(const json& object) {
  if (!object.is_object()) return corrupt("a layer is no object");
  Layer layer;
  QUIPU_ASSIGN(layer.media_type, text_of(object, "mediaType"));
  QUIPU_ASSIGN(const std::string digest, text_of(object, "digest"));
  QUIPU_ASSIGN(layer.digest, Digest::parse(digest));
  QUIPU_ASSIGN(layer.from, text_of(object, "from"));
  QUIPU_ASSIGN(layer.name, text_of(object, "name"));
  const auto size = object.find("size");
  if (size == object.end() || !size->is_number_integer()) return corrupt("a layer has no size");
  if (!size->is_number_unsigned() && size->get<int64_t>() < 0) return corrupt("a layer's size is negative");
  layer.size = size->get<uint64_t>();
  return layer;
}

ordered_json json_of(const Layer& layer) {
  ordered_json out = {{"mediaType", layer.media_type}, {"digest", layer.digest.text()}, {"size", layer.size}};
  if (!layer.from.empty()) out["from"] = layer.from;
  if (!layer.name.empty()) out["name"] = layer.name;
  return out;
}

}  // namespace

uint64_t Manifest::total_bytes() const {
  uint64_t sum = config ? config->size : 0;
  for (const Layer& layer : layers) sum = checked_add(sum, layer.size).value_or(UINT64_MAX);
  return sum;
}

Result<Manifest> parse_manifest(std::string_view bytes) {
  const json root = parse_stored_json(bytes);
  if (!root.is_object()) return corrupt("it is no JSON object");
  if (root.contains("manifests"))
    return error(Code::kUnsupported, "bad manifest: lists of manifests are not supported");
  Manifest manifest;
  const auto version = root.find("schemaVersion");
  if (version == root.end() || !version->is_number_integer()) return corrupt("schemaVersion is no number");
  manifest.schema_version = version->get<int64_t>();
  QUIPU_ASSIGN(manifest.media_type, text_of(root, "mediaType"));
  if (const auto config = root.find("config"); config != root.end() && config->is_object()) {
    QUIPU_ASSIGN(const std::string digest, text_of(*config, "digest"));
    if (!digest.empty()) {
      QUIPU_ASSIGN(manifest.config, layer_of(*config));
    }
  }
  if (const auto layers = root.find("layers"); layers != root.end() && !layers->is_null()) {
    if (!layers->is_array()) return corrupt("layers is no list");
    if (layers->size() > kMostLayers) return corrupt(fmt::format("it has {} layers", layers->size()));
    for (const json& layer : *layers) {
      QUIPU_ASSIGN(Layer parsed, layer_of(layer));
      manifest.layers.push_back(std::move(parsed));
    }
  }
  return manifest;
}

std::string format_manifest(const Manifest& manifest) {
  ordered_json out = {{"schemaVersion", manifest.schema_version}, {"mediaType", manifest.media_type}};
  out["config"] = manifest.config ? json_of(*manifest.config)
                                  : ordered_json{{"mediaType", ""}, {"digest", ""}, {"size", 0}};
  out["layers"] = ordered_json::array();
  for (const Layer& layer : manifest.layers) out["layers"].push_back(json_of(layer));
  return go_json(out) + "\n";
}

std::vector<Digest> digests_in(std::string_view bytes) {
  constexpr std::string_view kName = "sha256";
  constexpr size_t kLength = kName.size() + 1 + 2 * Digest::kBytes;
  std::vector<Digest> found;
  for (size_t at = bytes.find(kName); at != bytes.npos; at = bytes.find(kName, at + 1))
    if (const auto digest = Digest::parse(bytes.substr(at, kLength))) found.push_back(*digest);
  return found;
}

}  // namespace quipu::store
