#include "store/template_features.h"

#include <algorithm>
#include <array>

namespace quipu::store {

namespace {

bool contains(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }

template <size_t N>
bool contains_any(std::string_view text, const std::array<std::string_view, N>& parts) {
  return std::ranges::any_of(parts, [&](std::string_view part) { return contains(text, part); });
}

// How templates ask whether a message is a tool's answer, or begin to print one.
constexpr std::array<std::string_view, 9> kToolAnswers = {"tool_response",
                                                          "tool_results",
                                                          "role'] == 'tool'",
                                                          "role'] == \"tool\"",
                                                          "role\"] == 'tool'",
                                                          "role\"] == \"tool\"",
                                                          "message.role == 'tool'",
                                                          "message.role == \"tool\"",
                                                          "ipython"};
constexpr std::array<std::string_view, 2> kThoughtSplits = {"split('</think>')", "split(\"</think>\")"};

}  // namespace

TemplateFeatures jinja_template_features(std::string_view text) {
  TemplateFeatures features;
  features.tools = contains(text, "tools") || contains(text, "tool_call");
  features.thinking = (contains(text, "<think>") && contains(text, "</think>")) ||
                      (contains_any(text, kThoughtSplits) && !contains(text, "reasoning_content"));
  features.tool_round_trip = features.tools &&
                             (contains(text, "tool_calls") || contains(text, "assistant_tool_call")) &&
                             contains_any(text, kToolAnswers);
  return features;
}

TemplateFeatures parser_features(std::string_view name) {
  struct Known {
    std::string_view name;
    bool tools, thinking;
  };
  static constexpr std::array<Known, 25> kKnown = {{
      {"qwen3", true, true},
      {"qwen3-thinking", true, true},
      {"qwen3-coder", true, false},
      {"qwen3-vl-instruct", true, false},
      {"qwen3-vl-thinking", true, true},
      {"qwen3.5", true, true},
      {"qwen3.8", true, true},
      {"ornith", true, true},
      {"cogito", true, true},
      {"deepseek3.1", true, true},
      {"deepseek3", true, true},
      {"olmo3", true, false},
      {"olmo3.1", true, false},
      {"olmo3-think", false, true},
      {"nemotron-3-nano", true, true},
      {"nemotron-3.5-nano", true, true},
      {"gemma4", true, true},
      {"functiongemma", true, false},
      {"glm-4.7", true, true},
      {"glm-ocr", true, true},
      {"lfm2", true, false},
      {"lfm2-thinking", true, true},
      {"laguna", true, true},
      {"ministral", true, false},
      {"harmony", true, true},
  }};
  TemplateFeatures features;
  if (const auto it = std::ranges::find(kKnown, name, &Known::name); it != kKnown.end()) {
    features.tools = it->tools;
    features.thinking = it->thinking;
  }
  return features;
}

bool prefer_jinja(const TemplateFeatures& jinja, const TemplateFeatures& go) {
  if (jinja.count() > go.count()) return !go.tool_round_trip || jinja.tool_round_trip;
  const bool same = jinja.tools == go.tools && jinja.insert == go.insert && jinja.thinking == go.thinking;
  return same && jinja.tools && jinja.tool_round_trip && !go.tool_round_trip;
}

}  // namespace quipu::store
