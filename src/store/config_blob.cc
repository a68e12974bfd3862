#include "store/config_blob.h"

#include <nlohmann/json.hpp>

#include "base/go_json.h"
#include "store/stored_json.h"

namespace quipu::store {

namespace {

using nlohmann::json;
using nlohmann::ordered_json;

std::unexpected<Error> wrong(const char* key) {
  return error(Code::kCorrupt, "bad config: {} has the wrong type", key);
}

Result<void> read(const json& object, const char* key, std::string& to) {
  const auto it = object.find(key);
  if (it == object.end() || it->is_null()) return {};
  if (!it->is_string()) return wrong(key);
  to = it->get<std::string>();
  return {};
}

Result<void> read(const json& object, const char* key, std::vector<std::string>& to) {
  const auto it = object.find(key);
  if (it == object.end() || it->is_null()) return {};
  if (!it->is_array()) return wrong(key);
  for (const json& element : *it) {
    if (!element.is_string()) return wrong(key);
    to.push_back(element.get<std::string>());
  }
  return {};
}

Result<void> read(const json& object, const char* key, uint64_t& to) {
  const auto it = object.find(key);
  if (it == object.end() || it->is_null()) return {};
  if (!it->is_number_integer() || (!it->is_number_unsigned() && it->get<int64_t>() < 0)) return wrong(key);
  to = it->get<uint64_t>();
  return {};
}

}  // namespace

Result<ConfigBlob> parse_config(std::string_view bytes) {
  const json root = parse_stored_json(bytes);
  if (!root.is_object()) return error(Code::kCorrupt, "bad config: it is no JSON object");
  ConfigBlob config;
  QUIPU_TRY(read(root, "model_format", config.model_format));
  QUIPU_TRY(read(root, "model_family", config.model_family));
  QUIPU_TRY(read(root, "model_families", config.model_families));
  QUIPU_TRY(read(root, "model_type", config.model_type));
  QUIPU_TRY(read(root, "file_type", config.file_type));
  QUIPU_TRY(read(root, "renderer", config.renderer));
  QUIPU_TRY(read(root, "parser", config.parser));
  QUIPU_TRY(read(root, "requires", config.requires_version));
  QUIPU_TRY(read(root, "remote_host", config.remote_host));
  QUIPU_TRY(read(root, "remote_model", config.remote_model));
  QUIPU_TRY(read(root, "capabilities", config.capabilities));
  QUIPU_TRY(read(root, "context_length", config.context_length));
  QUIPU_TRY(read(root, "embedding_length", config.embedding_length));
  QUIPU_TRY(read(root, "base_name", config.base_name));
  if (const auto draft = root.find("draft"); draft != root.end() && !draft->is_null()) {
    if (!draft->is_object()) return wrong("draft");
    config.draft.emplace();
    QUIPU_TRY(read(*draft, "model_format", config.draft->model_format));
    QUIPU_TRY(read(*draft, "architecture", config.draft->architecture));
  }
  return config;
}

std::string format_config(const ConfigBlob& config) {
  ordered_json out = {{"model_format", config.model_format}, {"model_family", config.model_family}};
  out["model_families"] =
      config.model_families.empty() ? ordered_json() : ordered_json(config.model_families);
  out["model_type"] = config.model_type;
  out["file_type"] = config.file_type;
  const auto text = [&out](const char* key, const std::string& value) {
    if (!value.empty()) out[key] = value;
  };
  text("renderer", config.renderer);
  text("parser", config.parser);
  text("requires", config.requires_version);
  text("remote_host", config.remote_host);
  text("remote_model", config.remote_model);
  if (!config.capabilities.empty()) out["capabilities"] = config.capabilities;
  if (config.context_length > 0) out["context_length"] = config.context_length;
  if (config.embedding_length > 0) out["embedding_length"] = config.embedding_length;
  text("base_name", config.base_name);
  if (config.draft)
    out["draft"] = {{"model_format", config.draft->model_format},
                    {"architecture", config.draft->architecture}};
  // What the container format wants to be told, the same on every machine.
  out["architecture"] = "amd64";
  out["os"] = "linux";
  return go_json(out) + "\n";
}

}  // namespace quipu::store
