#include "store/create_config.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/go_text.h"

namespace quipu::store {

namespace {

using nlohmann::json;

std::unexpected<Error> must_be(const char* field, std::string_view what) {
  return error(Code::kInvalidArgument, "info field {} must be {}", go_quote(field), what);
}

Result<void> apply_text(const json& info, const char* field, std::string& to) {
  const auto it = info.find(field);
  if (it == info.end()) return {};
  if (!it->is_string()) return must_be(field, "a string");
  to = it->get<std::string>();
  return {};
}

Result<void> apply_number(const json& info, const char* field, uint64_t& to) {
  const auto it = info.find(field);
  if (it == info.end()) return {};
  if (!it->is_number()) return must_be(field, "a number");
  const double v = it->get<double>();
  if (v < 0 || std::trunc(v) != v || v >= 9223372036854775808.0)
    return must_be(field, "a non-negative integer");
  to = static_cast<uint64_t>(v);
  return {};
}

Result<void> apply_capabilities(const json& info, std::vector<std::string>& to) {
  constexpr const char* kField = "capabilities";
  const auto it = info.find(kField);
  if (it == info.end()) return {};
  if (!it->is_array()) return must_be(kField, "an array of strings");
  std::vector<std::string> found;
  for (size_t i = 0; i < it->size(); ++i) {
    if (!(*it)[i].is_string())
      return error(Code::kInvalidArgument, "info field {} element {} must be a string", go_quote(kField), i);
    found.push_back((*it)[i].get<std::string>());
  }
  to = std::move(found);
  return {};
}

struct BuiltIn {
  std::string_view architecture, name;
  const char* stop;  // null: none
};
constexpr std::array<BuiltIn, 5> kBuiltIns = {{{"gemma4", "gemma4", "<turn|>"},
                                               {"laguna", "laguna", nullptr},
                                               {"nemotron_h", "nemotron-3-nano", nullptr},
                                               {"nemotron_h_moe", "nemotron-3-nano", nullptr},
                                               {"nemotron_h_omni", "nemotron-3-nano", nullptr}}};

void or_else(std::string& text, std::string_view other) {
  if (text.empty()) text = other;
}

}  // namespace

Result<void> apply_info(const json& info, ConfigBlob& config) {
  if (!info.is_object()) return {};
  QUIPU_TRY(apply_capabilities(info, config.capabilities));
  QUIPU_TRY(apply_text(info, "model_family", config.model_family));
  if (!config.model_family.empty()) config.model_families = {config.model_family};
  QUIPU_TRY(apply_text(info, "base_name", config.base_name));
  QUIPU_TRY(apply_text(info, "quantization_level", config.file_type));
  QUIPU_TRY(apply_text(info, "parameter_size", config.model_type));
  QUIPU_TRY(apply_number(info, "context_length", config.context_length));
  return apply_number(info, "embedding_length", config.embedding_length);
}

void describe_files(const LayerList& layers, ConfigBlob& config, json& parameters) {
  for (const PlannedLayer& planned : layers.layers()) {
    if (!planned.facts) continue;
    const GgufFacts& facts = *planned.facts;
    if (planned.layer.media_type == media::kDraft) config.draft = {"gguf", facts.architecture};
    if (planned.layer.media_type != media::kModel) continue;
    or_else(config.model_format, "gguf");
    or_else(config.model_family, facts.architecture);
    or_else(config.model_type, format_parameter_count(facts.parameter_count));
    or_else(config.file_type, facts.file_type);
    if (std::ranges::find(config.model_families, facts.architecture) == config.model_families.end())
      config.model_families.push_back(facts.architecture);
    const auto built_in = std::ranges::find(kBuiltIns, facts.architecture, &BuiltIn::architecture);
    if (built_in == kBuiltIns.end() || (!config.renderer.empty() && !config.parser.empty())) continue;
    or_else(config.renderer, built_in->name);
    or_else(config.parser, built_in->name);
    if (built_in->stop != nullptr && !parameters.contains("stop")) parameters["stop"] = {built_in->stop};
  }
}

}  // namespace quipu::store
