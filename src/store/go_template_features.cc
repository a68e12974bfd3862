// What a Go template refers to.
#include "chat/go_template.h"
#include "store/template_features.h"

namespace quipu::store {

TemplateFeatures go_template_features(std::string_view text) {
  TemplateFeatures features;
  const auto parsed = GoTemplate::parse(text);
  if (!parsed) return features;
  features.tools = parsed->uses("tools");
  features.insert = parsed->uses("suffix");
  features.thinking = parsed->has_thinking_tags();
  const auto contains = [&](std::string_view part) { return text.find(part) != text.npos; };
  features.tool_round_trip =
      features.tools && parsed->uses("toolcalls") &&
      (contains("eq .Role \"tool\"") || contains("tool_response") || contains("TOOL_RESULTS"));
  return features;
}

}  // namespace quipu::store
