#include "cli/run_arguments.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <iterator>

#include "base/units.h"
#include "cli/run_options.h"
#include "modelfile/go_values.h"

namespace quipu::cli {

namespace {

std::unexpected<Error> usage(std::string sentence) {
  return std::unexpected(Error{Code::kInvalidArgument, std::move(sentence), {}});
}

Result<std::string> template_text(const std::string& value) {
  if (!value.starts_with('@')) return value;
  std::ifstream in(value.substr(1), std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  if (!in || in.bad())
    return error(Code::kNotFound, "--template: cannot read the file '{}'", value.substr(1));
  return text;
}

// As requests have it: Go's form of a duration, -1 for ever.
Result<Json> keep_alive(const std::string& value) {
  const auto ns = parse_duration_ns(value);
  if (!ns) return usage("--keepalive: " + ns.error().message + " (write 5m or 1h30m)");
  return *ns < 0 ? Json(-1) : Json(format_duration_ns(*ns));
}

Result<Json> format(const std::string& value) {
  if (value.empty()) return Json();
  if (value == "json") return Json("json");
  Json schema = parse_json(value);
  if (!schema.is_object())
    return usage("--format takes json or a JSON schema, an object such as {\"type\":\"object\"}");
  return schema;
}

Result<Json> think(const std::string& value) {
  if (value == "true" || value == "false") return Json(value == "true");
  static constexpr std::array<std::string_view, 4> kLevels = {"high", "medium", "low", "max"};
  if (std::ranges::find(kLevels, value) == kLevels.end())
    return usage(fmt::format(
        "invalid value for --think: \"{}\" (must be true, false, high, medium, low, or max)", value));
  return Json(value);
}

Result<bool> truth(const char* flag, const std::string& value) {
  const auto on = modelfile::parse_go_bool(value);
  if (!on) return usage(fmt::format("--{} is on or off: it takes =true or =false, not '{}'", flag, value));
  return *on;
}

Result<int64_t> dimensions(const std::string& value) {
  int64_t n = 0;
  const char* end = value.data() + value.size();
  const auto [at, ec] = std::from_chars(value.data(), end, n);
  if (ec != std::errc() || at != end || n < 0)
    return usage(fmt::format("--dimensions takes a whole number, not '{}'", value));
  return n;
}

// Run options by their flags; all values of one that takes several.
Result<Json> options_of(const Arguments& arguments) {
  Json options = Json::object();
  for (const RunOption& o : run_options()) {
    std::string flag = o.name;
    std::ranges::replace(flag, '_', '-');
    std::vector<std::string> values;
    for (const auto& [name, value] : arguments.flags) {
      if (name != flag) continue;
      if (o.kind != OptionKind::kTexts) values.clear();  // the last one counts
      values.push_back(value);
    }
    if (values.empty()) continue;
    auto value = read_option(o, values);
    if (!value) return usage(fmt::format("--{} {}", flag, value.error().sentence));
    options[o.name] = std::move(*value);
  }
  return options;
}

}  // namespace

Result<RunArguments> read_run_arguments(const Arguments& arguments) {
  RunArguments out;
  out.model = arguments.words.front();
  for (size_t i = 1; i < arguments.words.size(); ++i) out.prompt += (i > 1 ? " " : "") + arguments.words[i];
  out.has_prompt = arguments.words.size() > 1;
  QUIPU_ASSIGN(out.options, options_of(arguments));
  if (const auto guard_off = arguments.value("no-repeat-guard"))
    out.options["repeat_guard"] = guard_off == "false";
  out.system = arguments.value("system").value_or("");
  out.raw = arguments.on("raw");
  out.verbose = arguments.on("verbose");
  out.word_wrap = !arguments.on("nowordwrap");
  out.hide_thinking = arguments.on("hidethinking");
  out.insecure = arguments.on("insecure");
  if (const auto v = arguments.value("keepalive")) {
    QUIPU_ASSIGN(out.keep_alive, keep_alive(*v));
  }
  if (const auto v = arguments.value("format")) {
    QUIPU_ASSIGN(out.format, format(*v));
  }
  if (const auto v = arguments.value("think")) {
    QUIPU_ASSIGN(out.think, think(*v));
  }
  if (const auto v = arguments.value("truncate")) {
    QUIPU_ASSIGN(out.truncate, truth("truncate", *v));
  }
  if (const auto v = arguments.value("dimensions")) {
    QUIPU_ASSIGN(out.dimensions, dimensions(*v));
  }
  if (const auto v = arguments.value("template")) {
    QUIPU_ASSIGN(out.template_text, template_text(*v));
  }
  return out;
}

}  // namespace quipu::cli
