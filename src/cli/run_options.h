// The options of a run: one table for the flags of `quipu run` and for `/set parameter`.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "cli/json.h"

namespace quipu::cli {

enum class OptionKind { kInteger, kNumber, kBoolean, kText, kTexts };

struct RunOption {
  const char* name;  // as in requests; the flag has dashes for underscores
  OptionKind kind;
  double least, most;  // of kInteger and kNumber
  const char* value;   // how --help calls the value
  const char* help;
};

std::span<const RunOption> run_options();
const RunOption* find_run_option(std::string_view name);  // null: unknown

// Options of Ollama that mean nothing to a Quipu, because nothing in it depends on them.
bool is_option_without_effect(std::string_view name);

// Why a value does not do: of the wrong kind ("abc" for a number), or out of range.
struct BadValue {
  bool wrong_kind;
  std::string sentence;  // "takes a whole number, not 'abc'", "must be between 0 and 1, not 3": the name goes
                         // in front
};

// The JSON value of an option from text; kTexts takes several, the others exactly one.
std::expected<Json, BadValue> read_option(const RunOption& option, std::span<const std::string> values);

// "int", "float", "bool", "string": Ollama's word for a wrong value.
const char* kind_name(OptionKind kind);

// A value as a person would write it: lists without brackets, numbers without a trail of digits.
std::string show_value(const Json& value);

}  // namespace quipu::cli
