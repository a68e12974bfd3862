// The options of a run by their public names: PARAMETER in a Modelfile, "options" in a request, and what
// /api/show prints of them. Spec: ollama-compat 1.3.1, 7.2, 1.11; quipu-extensions 4.
//
// Threads: pure functions.
#pragma once

#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace quipu::modelfile {

enum class ParameterType { kInteger, kFloat, kBoolean, kText, kTexts };

struct Parameter {
  std::string_view name;
  ParameterType type;
  bool ours = false;  // Ollama does not have it
};

std::span<const Parameter> parameters();
const Parameter* find_parameter(std::string_view name);  // null: unknown

// Names that Ollama once had: a Modelfile may still use them, with a warning.
bool is_deprecated_parameter(std::string_view name);

// The JSON value of a parameter from its texts, of which all types but kTexts use the first. kInvalidArgument
// in Ollama's words: "unknown parameter 'foo'", "invalid int value [abc]".
Result<nlohmann::json> parse_parameter(std::string_view name, std::span<const std::string> values);

// Lists of one name grow; of every other name the last one counts.
void set_parameter(nlohmann::json& object, std::string_view name, nlohmann::json value);

// The value of an option in a request, in the parameter's type: numbers for integers are cut towards zero. A
// wrong type is kInvalidArgument in Ollama's words, "option "num_ctx" must be of type integer", with the name
// as subject.
Result<nlohmann::json> convert_option(const Parameter& parameter, const nlohmann::json& value);

struct ConvertedOptions {
  nlohmann::json known = nlohmann::json::object();
  std::vector<std::string> unknown;  // names, to be logged once and ignored
};
// All of an object of options; null means that the option is not given.
Result<ConvertedOptions> convert_options(const nlohmann::json& object);

// /api/show's "parameters": a line for each value, for each element of a list.
std::string format_parameters(const nlohmann::json& object);
// The texts that PARAMETER lines have for this value, a list's one by one.
std::vector<std::string> parameter_texts(std::string_view name, const nlohmann::json& value);

}  // namespace quipu::modelfile
