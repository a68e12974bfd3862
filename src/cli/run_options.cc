#include "cli/run_options.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>

#include "modelfile/go_values.h"

namespace quipu::cli {

namespace {

constexpr double kAny = std::numeric_limits<double>::infinity();
constexpr double kMostInt = 2147483647;

constexpr std::array kOptions = {
    RunOption{"num_ctx", OptionKind::kInteger, 4, kMostInt, "N",
              "tokens of context; default: the model's own, as far as memory allows"},
    RunOption{"num_predict", OptionKind::kInteger, -2, kMostInt, "N",
              "most tokens of an answer; -1: ten contexts long; default: until the model ends"},
    RunOption{"temperature", OptionKind::kNumber, 0, 100, "X", "0: always the likeliest token; default 0.8"},
    RunOption{"top_k", OptionKind::kInteger, -1, kMostInt, "N",
              "choose among the N likeliest; 0: all; default 40"},
    RunOption{"top_p", OptionKind::kNumber, 0, 1, "X",
              "choose among the likeliest that sum to X; 1: off; default 0.9"},
    RunOption{"min_p", OptionKind::kNumber, 0, 1, "X",
              "leave out what is less likely than X times the likeliest; default 0"},
    RunOption{"typical_p", OptionKind::kNumber, 0, 1, "X", "locally typical sampling; 1: off; default 1"},
    RunOption{"repeat_penalty", OptionKind::kNumber, 0.001, 1000, "X",
              "weighs against repetition; 1: off; default 1"},
    RunOption{"repeat_last_n", OptionKind::kInteger, -1, kMostInt, "N",
              "how far back the penalties look; 0: off, -1: the whole context; default 64"},
    RunOption{"presence_penalty", OptionKind::kNumber, -100, 100, "X",
              "against tokens that occurred; default 0"},
    RunOption{"frequency_penalty", OptionKind::kNumber, -100, 100, "X",
              "the same for each occurrence; default 0"},
    RunOption{"seed", OptionKind::kInteger, -kAny, kAny, "N",
              "the same seed gives the same answer; -1: random; default -1"},
    RunOption{"stop", OptionKind::kTexts, 0, 0, "TEXT",
              "ends the answer where it appears; may be given several times"},
    RunOption{"num_keep", OptionKind::kInteger, -1, kMostInt, "N",
              "tokens at the start that stay when a full context moves on; -1: the whole prompt; default 4"},
    RunOption{"num_thread", OptionKind::kInteger, 0, 1024, "N", "threads; 0: one for each physical core"},
    RunOption{"kv_cache_type", OptionKind::kText, 0, 0, "T",
              "type of the KV cache: f16, bf16, q8_0, q4_0 or f32, or K:V; default q8_0"},
    RunOption{"max_seconds", OptionKind::kNumber, 0, 1e9, "X",
              "most seconds until the end, waiting and loading included"},
    RunOption{"repeat_guard", OptionKind::kBoolean, 0, 0, "BOOL",
              "end an answer that only repeats itself; default true"},
};

constexpr std::array<std::string_view, 5> kWithoutEffect = {"num_batch", "num_gpu", "main_gpu", "use_mmap",
                                                            "draft_num_predict"};

std::string joined(std::span<const std::string> values) {
  std::string all;
  for (const std::string& v : values) all += (all.empty() ? "" : " ") + v;
  return all;
}

BadValue wrong_kind(std::string_view what, std::span<const std::string> values) {
  return {true, fmt::format("takes {}, not '{}'", what, joined(values))};
}

template <class T>
std::unexpected<BadValue> out_of_range(const RunOption& o, T value) {
  if (o.most == kMostInt)
    return std::unexpected(BadValue{false, fmt::format("must be at least {}, not {}", o.least, value)});
  return std::unexpected(
      BadValue{false, fmt::format("must be between {} and {}, not {}", o.least, o.most, value)});
}

std::expected<Json, BadValue> read_integer(const RunOption& o, const std::string& text) {
  int64_t n = 0;
  const char* end = text.data() + text.size();
  const auto [at, ec] = std::from_chars(text.data(), end, n);
  if (ec == std::errc::result_out_of_range && at == end)
    return std::unexpected(BadValue{false, fmt::format("is out of range: {}", text)});
  if (ec != std::errc() || at != end)
    return std::unexpected(wrong_kind("a whole number", std::span(&text, 1)));
  const auto d = static_cast<double>(n);
  if (d < o.least || d > o.most) return out_of_range(o, n);
  return Json(n);
}

std::expected<Json, BadValue> read_number(const RunOption& o, const std::string& text) {
  double d = 0;
  const char* end = text.data() + text.size();
  const auto [at, ec] = std::from_chars(text.data(), end, d);
  if (ec != std::errc() || at != end || !std::isfinite(d))
    return std::unexpected(wrong_kind("a number", std::span(&text, 1)));
  if (d < o.least || d > o.most) return out_of_range(o, d);
  return Json(d);
}

// What there may be by Quipu's interface; which of them a server has, it says itself.
bool is_cache_type(std::string_view text) {
  static constexpr std::array<std::string_view, 5> kTypes = {"f32", "f16", "bf16", "q8_0", "q4_0"};
  const auto is_type = [](std::string_view t) { return std::ranges::find(kTypes, t) != kTypes.end(); };
  const size_t colon = text.find(':');
  return colon == text.npos ? is_type(text)
                            : is_type(text.substr(0, colon)) && is_type(text.substr(colon + 1));
}

std::expected<Json, BadValue> read_boolean(const std::string& text) {
  if (const auto on = modelfile::parse_go_bool(text)) return Json(*on);
  return std::unexpected(wrong_kind("true or false", std::span(&text, 1)));
}

}  // namespace

std::span<const RunOption> run_options() { return kOptions; }

const RunOption* find_run_option(std::string_view name) {
  const auto it =
      std::find_if(kOptions.begin(), kOptions.end(), [&](const RunOption& o) { return name == o.name; });
  return it == kOptions.end() ? nullptr : &*it;
}

bool is_option_without_effect(std::string_view name) {
  return std::find(kWithoutEffect.begin(), kWithoutEffect.end(), name) != kWithoutEffect.end();
}

std::expected<Json, BadValue> read_option(const RunOption& option, std::span<const std::string> values) {
  if (option.kind == OptionKind::kTexts) {
    Json list = Json::array();
    for (const std::string& v : values) {
      if (v.empty()) return std::unexpected(BadValue{false, "must not be empty"});
      list.push_back(v);
    }
    return list;
  }
  if (values.size() != 1) return std::unexpected(wrong_kind("one value", values));
  switch (option.kind) {
    case OptionKind::kInteger:
      return read_integer(option, values[0]);
    case OptionKind::kNumber:
      return read_number(option, values[0]);
    case OptionKind::kBoolean:
      return read_boolean(values[0]);
    default:
      break;
  }
  if (values[0].empty()) return std::unexpected(BadValue{false, "must not be empty"});
  if (option.name == std::string_view("kv_cache_type") && !is_cache_type(values[0]))
    return std::unexpected(BadValue{
        false,
        fmt::format("must be f32, f16, bf16, q8_0 or q4_0, or K:V of two of these, not {}", values[0])});
  return Json(values[0]);
}

const char* kind_name(OptionKind kind) {
  switch (kind) {
    case OptionKind::kInteger:
      return "int";
    case OptionKind::kNumber:
      return "float";
    case OptionKind::kBoolean:
      return "bool";
    default:
      return "string";
  }
}

std::string show_value(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_float()) return fmt::format("{}", value.get<double>());
  if (!value.is_array()) return value.dump();
  std::string all;
  for (const Json& v : value) all += (all.empty() ? "" : ", ") + show_value(v);
  return all;
}

}  // namespace quipu::cli
