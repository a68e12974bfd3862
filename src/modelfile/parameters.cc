#include "modelfile/parameters.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/go_json.h"
#include "base/go_text.h"
#include "modelfile/go_values.h"

namespace quipu::modelfile {

namespace {

using nlohmann::json;
using enum ParameterType;

constexpr std::array kParameters = {
    Parameter{"num_ctx", kInteger},
    Parameter{"num_batch", kInteger},
    Parameter{"num_gpu", kInteger},
    Parameter{"main_gpu", kInteger},
    Parameter{"use_mmap", kBoolean},
    Parameter{"num_thread", kInteger},
    Parameter{"draft_num_predict", kInteger},
    Parameter{"num_keep", kInteger},
    Parameter{"seed", kInteger},
    Parameter{"num_predict", kInteger},
    Parameter{"temperature", kFloat},
    Parameter{"top_k", kInteger},
    Parameter{"top_p", kFloat},
    Parameter{"min_p", kFloat},
    Parameter{"typical_p", kFloat},
    Parameter{"repeat_last_n", kInteger},
    Parameter{"repeat_penalty", kFloat},
    Parameter{"presence_penalty", kFloat},
    Parameter{"frequency_penalty", kFloat},
    Parameter{"stop", kTexts},
    Parameter{"kv_cache_type", kText, true},
    Parameter{"repeat_guard", kBoolean, true},
    Parameter{"max_seconds", kFloat, true},
};

constexpr std::array<std::string_view, 9> kDeprecated = {"penalize_newline", "low_vram",     "f16_kv",
                                                         "logits_all",       "vocab_only",   "use_mlock",
                                                         "mirostat",         "mirostat_tau", "mirostat_eta"};

// Lists as Go prints them: "[a b]".
std::string listed(std::span<const std::string> values) {
  std::string out = "[";
  for (size_t i = 0; i < values.size(); ++i) out += (i == 0 ? "" : " ") + values[i];
  return out + "]";
}

int64_t truncated(const json& number) {
  if (number.is_number_unsigned())
    return static_cast<int64_t>(
        std::min<uint64_t>(number.get<uint64_t>(), std::numeric_limits<int64_t>::max()));
  if (number.is_number_integer()) return number.get<int64_t>();
  const double v = std::trunc(number.get<double>());
  constexpr double kLimit = 9223372036854775808.0;  // 2^63
  if (std::isnan(v)) return 0;
  if (v >= kLimit) return std::numeric_limits<int64_t>::max();
  if (v < -kLimit) return std::numeric_limits<int64_t>::min();
  return static_cast<int64_t>(v);
}

std::unexpected<Error> wrong_type(const Parameter& parameter, std::string_view expected) {
  return std::unexpected(Error{Code::kInvalidArgument,
                               fmt::format("option \"{}\" must be of {}", parameter.name, expected),
                               std::string(parameter.name)});
}

// A number without an exponent where the option is an integer, so that the text can be read back.
std::string number_text(std::string_view name, const json& value) {
  if (value.is_number_integer()) return value.dump();  // signed and unsigned
  const double v = value.get<double>();
  const Parameter* known = find_parameter(name);
  const bool whole = std::trunc(v) == v && std::abs(v) < 9007199254740992.0;
  if (whole && known != nullptr && known->type == kInteger) return std::to_string(static_cast<int64_t>(v));
  return go_number(v);
}

std::string plain_text(std::string_view name, const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number()) return number_text(name, value);
  return go_json(value);
}

std::string go_syntax(std::string_view name, const json& value) {
  return value.is_string() ? go_quote(value.get_ref<const std::string&>()) : plain_text(name, value);
}

// A value that is no list is a list of one.
template <class Each>
void for_each_value(const json& value, Each each) {
  if (!value.is_array()) return each(value);
  for (const json& element : value) each(element);
}

}  // namespace

std::span<const Parameter> parameters() { return kParameters; }

const Parameter* find_parameter(std::string_view name) {
  const auto it = std::ranges::find(kParameters, name, &Parameter::name);
  return it == kParameters.end() ? nullptr : &*it;
}

bool is_deprecated_parameter(std::string_view name) {
  return std::ranges::find(kDeprecated, name) != kDeprecated.end();
}

Result<json> parse_parameter(std::string_view name, std::span<const std::string> values) {
  const Parameter* parameter = find_parameter(name);
  if (parameter == nullptr) return error(Code::kInvalidArgument, "unknown parameter '{}'", name);
  if (parameter->type == kTexts) return json(std::vector<std::string>(values.begin(), values.end()));
  const std::string first = values.empty() ? std::string() : values.front();
  const auto invalid = [&](std::string_view kind) {
    return error(Code::kInvalidArgument, "invalid {} value {}", kind, listed(values));
  };
  switch (parameter->type) {
    case kInteger: {
      const auto v = parse_go_int(first);
      return v ? Result<json>(*v) : invalid("int");
    }
    case kFloat: {
      const auto v = parse_go_float(first);
      return v ? Result<json>(shortest_double(*v)) : invalid("float");
    }
    case kBoolean: {
      const auto v = parse_go_bool(first);
      return v ? Result<json>(*v) : invalid("bool");
    }
    default:
      return json(first);
  }
}

void set_parameter(json& object, std::string_view name, json value) {
  json& there = object[std::string(name)];
  if (there.is_array() && value.is_array())
    there.insert(there.end(), value.begin(), value.end());
  else
    there = std::move(value);
}

Result<json> convert_option(const Parameter& parameter, const json& value) {
  switch (parameter.type) {
    case kInteger:
      if (!value.is_number()) return wrong_type(parameter, "type integer");
      return json(truncated(value));
    case kFloat:
      if (!value.is_number()) return wrong_type(parameter, "type float32");
      return json(value.get<double>());
    case kBoolean:
      if (!value.is_boolean()) return wrong_type(parameter, "type boolean");
      return value;
    case kText:
      if (!value.is_string()) return wrong_type(parameter, "type string");
      return value;
    default:
      if (!value.is_array()) return wrong_type(parameter, "type array");
      if (!std::ranges::all_of(value, [](const json& v) { return v.is_string(); }))
        return wrong_type(parameter, "an array of strings");
      return value;
  }
}

Result<ConvertedOptions> convert_options(const json& object) {
  ConvertedOptions converted;
  for (const auto& [name, value] : object.items()) {
    const Parameter* parameter = find_parameter(name);
    if (parameter == nullptr) {
      converted.unknown.push_back(name);
    } else if (!value.is_null()) {
      QUIPU_ASSIGN(converted.known[name], convert_option(*parameter, value));
    }
  }
  return converted;
}

std::string format_parameters(const json& object) {
  constexpr size_t kNameWidth = 30;
  std::string out;
  for (const auto& [name, value] : object.items())
    for_each_value(value, [&, &key = name](const json& v) {
      if (!out.empty()) out += '\n';
      out += key;
      if (key.size() < kNameWidth) out += std::string(kNameWidth - key.size(), ' ');
      out += ' ' + go_syntax(key, v);
    });
  return out;
}

std::vector<std::string> parameter_texts(std::string_view name, const json& value) {
  std::vector<std::string> texts;
  for_each_value(value, [&](const json& v) { texts.push_back(plain_text(name, v)); });
  return texts;
}

}  // namespace quipu::modelfile
