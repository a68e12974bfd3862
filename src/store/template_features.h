// What a model's template shows it can do, and which of two templates is the better one. Spec:
// ollama-compat 7.6, 8.1.
//
// Threads: pure functions.
#pragma once

#include <string>
#include <string_view>

namespace quipu::store {

struct TemplateFeatures {
  bool tools = false;
  bool insert = false;
  bool thinking = false;
  bool tool_round_trip = false;  // it also shows the model its calls and what came of them

  int count() const { return int{tools} + int{insert} + int{thinking}; }
};

// Nothing of a template that cannot be parsed.
TemplateFeatures go_template_features(std::string_view text);
TemplateFeatures jinja_template_features(std::string_view text);
// Of the built-in parsers that a config blob may name; unknown ones have none.
TemplateFeatures parser_features(std::string_view name);

// Does the file's own Jinja template offer more than the Go template beside it?
bool prefer_jinja(const TemplateFeatures& jinja, const TemplateFeatures& go);

}  // namespace quipu::store
