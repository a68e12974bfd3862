#include "store/show.h"

#include <algorithm>
#include <cstdlib>
#include <ctime>

#include "base/go_json.h"
#include "base/log.h"
#include "modelfile/modelfile.h"
#include "modelfile/parameters.h"
#include "store/gguf_header.h"
#include "store/gguf_json.h"

namespace quipu::store {

namespace {

Json or_null(const std::vector<std::string>& list) { return list.empty() ? Json() : Json(list); }

// role and content of each stored message, in that order.
Json messages_json(const ModelInfo& info) {
  Json messages = Json::array();
  for (const nlohmann::json& message : info.messages) {
    if (!message.is_object()) continue;
    const auto text = [&](const char* key) {
      const auto it = message.find(key);
      return it != message.end() && it->is_string() ? it->get<std::string>() : std::string();
    };
    messages.push_back(Json{{"role", text("role")}, {"content", text("content")}});
  }
  return messages;
}

std::string joined(const std::vector<std::string>& texts) {
  std::string out;
  for (size_t i = 0; i < texts.size(); ++i) out += (i == 0 ? "" : "\n") + texts[i];
  return out;
}

}  // namespace

std::string format_time(int64_t ns_since_1970) {
  constexpr int64_t kNs = 1'000'000'000;
  int64_t seconds = ns_since_1970 / kNs, fraction = ns_since_1970 % kNs;
  if (fraction < 0) {
    fraction += kNs;
    --seconds;
  }
  const auto time = static_cast<time_t>(seconds);
  std::tm local{};
  localtime_r(&time, &local);
  std::string out = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", local.tm_year + 1900, local.tm_mon + 1,
                                local.tm_mday, local.tm_hour, local.tm_min, local.tm_sec);
  if (fraction != 0) {
    out += fmt::format(".{:09}", fraction);
    out.erase(out.find_last_not_of('0') + 1);
  }
  const long offset = local.tm_gmtoff / 60;
  if (offset == 0) return out + "Z";
  return out +
         fmt::format("{}{:02}:{:02}", offset < 0 ? '-' : '+', std::abs(offset) / 60, std::abs(offset) % 60);
}

Json details_json(const ModelInfo& info, bool lengths) {
  Json details = {
      {"parent_model", info.parent_model},        {"format", info.config.model_format},
      {"family", info.config.model_family},       {"families", or_null(info.config.model_families)},
      {"parameter_size", info.config.model_type}, {"quantization_level", info.config.file_type}};
  if (lengths) {
    const uint64_t context = info.facts ? info.facts->context_length : info.config.context_length;
    const uint64_t embedding = info.facts ? info.facts->embedding_length : info.config.embedding_length;
    if (context > 0) details["context_length"] = context;
    if (embedding > 0) details["embedding_length"] = embedding;
  }
  return details;
}

Json tag_json(const ModelInfo& info) {
  const std::string name = info.name.short_name();
  Json tag = {{"name", name},
              {"model", name},
              {"modified_at", format_time(info.modified_ns)},
              {"size", info.manifest.total_bytes()},
              {"digest", info.digest.hex()},
              {"details", details_json(info, true)}};
  if (!info.capabilities.empty()) tag["capabilities"] = info.capabilities;
  return tag;
}

Json tags_json(const Store& store, ModelReader& reader) {
  std::vector<ModelInfo> models;
  for (const StoredManifest& stored : store.list_manifests()) {
    if (auto info = reader.read_summary(stored))
      models.push_back(std::move(*info));
    else
      spdlog::warn("{}: {}", stored.name.short_name(), info.error().message);
  }
  constexpr int64_t kNs = 1'000'000'000;
  std::ranges::sort(models, [](const ModelInfo& a, const ModelInfo& b) {
    const int64_t time_a = a.modified_ns / kNs, time_b = b.modified_ns / kNs;
    return time_a != time_b ? time_a > time_b : a.name.short_name() < b.name.short_name();
  });
  Json list = Json::array();
  for (const ModelInfo& info : models) list.push_back(tag_json(info));
  return {{"models", std::move(list)}};
}

std::string modelfile_text(const ModelInfo& info, const std::string& system,
                           const nlohmann::json& parameters) {
  modelfile::Modelfile file;
  const auto add = [&file](std::string_view name, std::string args) {
    file.commands.push_back({std::string(name), std::move(args)});
  };
  const auto add_all = [&add](std::string_view name, const std::vector<std::string>& texts) {
    for (const std::string& text : texts) add(name, text);
  };
  add("model", info.model_path);
  add_all("model", info.shard_paths);
  add_all("model", info.projector_paths);
  add_all("adapter", info.adapter_paths);
  add_all("draft", info.draft_paths);
  add("template", info.template_text());
  if (!system.empty()) add("system", system);
  if (!info.config.renderer.empty()) add("renderer", info.config.renderer);
  if (!info.config.parser.empty()) add("parser", info.config.parser);
  for (const auto& [name, value] : parameters.items()) add_all(name, modelfile::parameter_texts(name, value));
  add_all("license", info.licenses);
  for (const Json& message : messages_json(info))
    add("message", message["role"].get<std::string>() + ": " + message["content"].get<std::string>());
  return fmt::format(
      "# Modelfile generated by \"ollama show\"\n# To build a new Modelfile based on this, replace FROM "
      "with:\n# FROM {}\n\n{}",
      info.name.short_name(), modelfile::format_modelfile(file));
}

Result<Json> show_json(const ModelInfo& info, const ShowOptions& options) {
  const std::string& system = options.system.empty() ? info.system : options.system;
  nlohmann::json parameters = info.parameters;
  for (const auto& [name, value] : options.options.items()) parameters[name] = value;

  Json out = Json::object();
  const auto text = [&out](const char* key, std::string value) {
    if (!value.empty()) out[key] = std::move(value);
  };
  text("license", joined(info.licenses));
  text("modelfile", modelfile_text(info, system, parameters));
  text("parameters", modelfile::format_parameters(info.parameters));
  text("template", info.template_text());
  text("system", system);
  out["details"] = details_json(info, false);
  if (Json messages = messages_json(info); !messages.empty()) out["messages"] = std::move(messages);
  if (info.model_path.empty()) {
    out["model_info"] = Json::object();
  } else {
    QUIPU_ASSIGN(const GgufHeader header, GgufHeader::read(info.model_path));
    out["model_info"] = metadata_json(header.file(), options.verbose, options.basename);
    if (!info.projector_paths.empty()) {
      QUIPU_ASSIGN(const GgufHeader projector, GgufHeader::read(info.projector_paths.front()));
      out["projector_info"] = metadata_json(projector.file(), options.verbose);
    }
    out["tensors"] = tensors_json(header.file());
  }
  if (!info.capabilities.empty()) out["capabilities"] = info.capabilities;
  out["modified_at"] = format_time(info.modified_ns);
  text("requires", info.config.requires_version);
  return out;
}

}  // namespace quipu::store
