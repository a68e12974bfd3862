#include "store/model_info.h"

#include <algorithm>

#include "base/environment.h"
#include "base/log.h"
#include "store/stored_json.h"
#include "store/template_features.h"

namespace quipu::store {

namespace {

using nlohmann::json;

constexpr uint64_t kMostTextBytes = uint64_t{16} << 20;  // of a template, a license, a conversation

// Is the Go template to be used? Nothing: the better one of two.
std::optional<bool> go_template_wanted() {
  const auto variable = environment({"QUIPU_GO_TEMPLATE", "OLLAMA_GO_TEMPLATE"});
  return variable ? std::optional<bool>(variable->on()) : std::nullopt;
}

bool is_gpt_oss(const ConfigBlob& config) {
  return config.model_family == "gptoss" || config.model_family == "gpt-oss";
}

// The template's own marks make the conversation, whatever else it could do.
bool uses_harmony(const ModelInfo& info) {
  if (!is_gpt_oss(info.config) || !info.go_template) return false;
  return info.go_template->find("<|start|>") != std::string::npos &&
         info.go_template->find("<|end|>") != std::string::npos;
}

TemplateSource choose_template(const ModelInfo& info) {
  if (!info.config.renderer.empty()) return TemplateSource::kRenderer;
  if (uses_harmony(info)) return TemplateSource::kGo;
  const std::string jinja = info.facts ? info.facts->chat_template : std::string();
  const auto wanted = go_template_wanted();
  if (info.go_template && wanted.value_or(true)) {
    const bool better = !wanted && !jinja.empty() && info.config.parser.empty() &&
                        prefer_jinja(jinja_template_features(jinja), go_template_features(*info.go_template));
    return better ? TemplateSource::kJinja : TemplateSource::kGo;
  }
  return jinja.empty() ? TemplateSource::kNone : TemplateSource::kJinja;
}

// An audio encoder that Ollama does not speak of.
bool hides_audio(const ModelInfo& info) {
  constexpr std::string_view kFamily = "nemotron_h_omni";
  const auto& families = info.config.model_families;
  return (info.facts && info.facts->architecture == kFamily) || info.config.model_family == kFamily ||
         std::ranges::find(families, kFamily) != families.end();
}

std::vector<std::string> find_capabilities(const ModelInfo& info) {
  std::vector<std::string> found;
  const auto add = [&found](std::string_view capability, bool there = true) {
    if (there && std::ranges::find(found, capability) == found.end()) found.emplace_back(capability);
  };
  for (const std::string& capability : info.config.capabilities) add(capability);
  if (info.facts) {
    if (info.template_source == TemplateSource::kJinja) {
      const TemplateFeatures features = jinja_template_features(info.facts->chat_template);
      add("tools", features.tools);
      add("thinking", features.thinking);
    }
    add(info.facts->has_pooling ? "embedding" : "completion");
    add("vision", info.facts->has_vision);
    add("audio", info.facts->has_audio);
  }
  add("vision", !info.projector_paths.empty());
  for (const auto& projector : info.projector_facts)
    add("audio", projector->has_audio_encoder && projector->vision_projector_type != "gemma3nv");
  const bool made_here =
      info.template_source == TemplateSource::kGo || info.template_source == TemplateSource::kRenderer;
  if (made_here && info.go_template) {
    const TemplateFeatures features = go_template_features(*info.go_template);
    add("tools", features.tools);
    add("insert", features.insert);
    add("thinking", features.thinking);
  }
  const TemplateFeatures features = parser_features(info.config.parser);
  add("tools", features.tools);
  add("thinking", features.thinking);
  add("thinking", is_gpt_oss(info.config));
  if (hides_audio(info)) std::erase(found, "audio");
  return found;
}

Result<json> parse_json_layer(const std::string& bytes, std::string_view what, json::value_t type) {
  json value = parse_stored_json(bytes);
  if (value.is_null()) return json(type);
  if (value.type() != type) return error(Code::kCorrupt, "the {} layer is not what it should be", what);
  return value;
}

// Whoever uses them relies on a role and a content, both texts.
Result<json> parse_messages(const std::string& bytes) {
  QUIPU_ASSIGN(json messages, parse_json_layer(bytes, "messages", json::value_t::array));
  for (json& message : messages) {
    if (!message.is_object()) return error(Code::kCorrupt, "the messages layer holds what is no message");
    for (const char* key : {"role", "content"}) {
      json& text = message[key];
      if (text.is_null()) text = "";
      if (!text.is_string()) return error(Code::kCorrupt, "in the messages layer a {} is no text", key);
    }
  }
  return messages;
}

}  // namespace

void derive(ModelInfo& info) {
  info.template_source = choose_template(info);
  info.capabilities = find_capabilities(info);
}

bool ModelInfo::can(std::string_view capability) const {
  return std::ranges::find(capabilities, capability) != capabilities.end();
}

std::string ModelInfo::template_text() const {
  if (template_source == TemplateSource::kJinja) return facts->chat_template;
  if (template_source == TemplateSource::kNone) return std::string(kDefaultTemplate);
  return go_template.value_or(std::string(kDefaultTemplate));
}

Result<ModelInfo> ModelReader::read(const ModelName& name) {
  QUIPU_ASSIGN(const StoredManifest stored, store_->read_manifest(store_->resolve(name)));
  return read(stored);
}

// A blob that is missing is not a model that is missing.
Result<std::string> ModelReader::blob_text(const Digest& digest) const {
  auto bytes = store_->read_blob(digest, kMostTextBytes);
  if (!bytes && bytes.error().code == Code::kNotFound) bytes.error().code = Code::kIo;
  return bytes;
}

Result<ModelInfo> ModelReader::read(const StoredManifest& stored) {
  QUIPU_ASSIGN(ModelInfo info, read_summary(stored));
  for (const Layer& layer : stored.manifest.layers) QUIPU_TRY(read_texts(layer, info));
  return info;
}

Result<ModelInfo> ModelReader::read_summary(const StoredManifest& stored) {
  ModelInfo info;
  info.name = stored.name;
  info.digest = stored.digest;
  info.modified_ns = stored.modified_ns;
  info.manifest = stored.manifest;
  if (stored.manifest.config) {
    QUIPU_ASSIGN(const std::string bytes, blob_text(stored.manifest.config->digest));
    QUIPU_ASSIGN(info.config, parse_config(bytes));
  }
  for (const Layer& layer : stored.manifest.layers) QUIPU_TRY(read_files(layer, info));
  derive(info);
  return info;
}

// What the choice of the template and the capabilities depend on.
Result<void> ModelReader::read_files(const Layer& layer, ModelInfo& info) {
  const std::string path = store_->blob_path(layer.digest);
  const std::string_view type = layer.media_type;
  if (type == media::kModel) {
    read_weights(layer, info);
  } else if (type == media::kProjector) {
    info.projector_paths.push_back(path);
    if (auto facts = facts_.get(layer.digest, path))
      info.projector_facts.push_back(*facts);
    else
      spdlog::warn("{}: projector: {}", info.name.short_name(), facts.error().message);
  } else if (type == media::kAdapter) {
    info.adapter_paths.push_back(path);
  } else if (type == media::kDraft) {
    info.draft_paths.push_back(path);
  } else if (type == media::kTemplate || type == media::kPrompt) {
    QUIPU_ASSIGN(info.go_template, blob_text(layer.digest));
  } else if (type == media::kEmbed) {
    spdlog::warn("{}: embeddings inside a model are no longer supported and ignored", info.name.short_name());
  }
  return {};
}

Result<void> ModelReader::read_texts(const Layer& layer, ModelInfo& info) const {
  const std::string_view type = layer.media_type;
  if (type == media::kSystem) {
    QUIPU_ASSIGN(info.system, blob_text(layer.digest));
  } else if (type == media::kLicense) {
    QUIPU_ASSIGN(std::string license, blob_text(layer.digest));
    info.licenses.push_back(std::move(license));
  } else if (type == media::kParams) {
    QUIPU_ASSIGN(const std::string text, blob_text(layer.digest));
    QUIPU_ASSIGN(info.parameters, parse_json_layer(text, "params", json::value_t::object));
  } else if (type == media::kMessages) {
    QUIPU_ASSIGN(const std::string text, blob_text(layer.digest));
    QUIPU_ASSIGN(info.messages, parse_messages(text));
  }
  return {};
}

// Weights may come in several layers, the parts of a split file: which one is the first, the file says.
void ModelReader::read_weights(const Layer& layer, ModelInfo& info) {
  const std::string path = store_->blob_path(layer.digest);
  const auto facts = facts_.get(layer.digest, path);
  if (facts && (*facts)->split_count > 1 && (*facts)->split_number > 0) {
    info.shard_paths.push_back(path);
    return;
  }
  info.model_path = path;
  info.model_digest = layer.digest;
  info.parent_model = layer.from;
  if (facts) {
    info.facts = *facts;
  } else {
    info.facts_problem = facts.error().message;
    spdlog::warn("{}: {}", info.name.short_name(), info.facts_problem);
  }
}

}  // namespace quipu::store
