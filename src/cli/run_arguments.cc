#include "cli/run_arguments.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <fstream>
#include <iterator>
#include <map>

namespace quipu::cli {

namespace {

// What is no run option. kSwitch takes =true or =false at most, kValue takes a value, kMaybe one after =
// only.
enum class Takes { kSwitch, kValue, kMaybe };
struct Flag {
  const char* name;
  Takes takes;
  const char* value;
  const char* help;
};

constexpr std::array kFlags = {
    Flag{"system", Takes::kValue, "TEXT", "system message"},
    Flag{"template", Takes::kValue, "TEXT|@FILE", "Jinja chat template, in place of the model's own"},
    Flag{"raw", Takes::kSwitch, "", "the prompt goes to the model as it is, without a template"},
    Flag{"verbose", Takes::kSwitch, "", "timings and memory after each answer, on standard error"},
    Flag{"nowordwrap", Takes::kSwitch, "", "leave line breaks to the terminal"},
    Flag{"format", Takes::kValue, "json|SCHEMA", "form of the answer (not there yet)"},
    Flag{"think", Takes::kMaybe, "[=LEVEL]",
         "let the model think first: true, false, low, medium, high, max"},
    Flag{"hidethinking", Takes::kSwitch, "", "show the answer alone"},
    Flag{"keepalive", Takes::kValue, "DURATION",
         "as in 5m; the model of a FILE is unloaded when the command ends"},
    Flag{"no-repeat-guard", Takes::kSwitch, "", "do not end an answer that only repeats itself"},
};

std::string dashed(std::string_view name) {
  std::string s(name);
  std::replace(s.begin(), s.end(), '_', '-');
  return s;
}

std::unexpected<Error> usage(std::string sentence) {
  return std::unexpected(Error{Code::kInvalidArgument, std::move(sentence), {}});
}

// A Go duration: decimal numbers with units, each at least one, and an optional sign; "0" alone needs no
// unit.
Result<void> check_duration(std::string_view text) {
  const std::string_view whole = text;
  const auto bad = [&] {
    return error(Code::kInvalidArgument, "--keepalive: invalid duration \"{}\" (write 5m or 1h30m)", whole);
  };
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  if (text == "0") return {};
  if (text.empty()) return bad();
  while (!text.empty()) {
    size_t digits = 0, length = 0;
    for (; length < text.size() &&
           (std::isdigit(static_cast<unsigned char>(text[length])) != 0 || text[length] == '.');
         ++length)
      digits += text[length] != '.';
    if (digits == 0 || length - digits > 1) return bad();
    text.remove_prefix(length);
    if (text.empty())
      return error(Code::kInvalidArgument, "--keepalive: missing unit in duration \"{}\"", whole);
    static constexpr std::array<std::string_view, 8> kUnits = {"ns", "us", "µs", "μs", "ms", "s", "m", "h"};
    const auto unit =
        std::find_if(kUnits.begin(), kUnits.end(), [&](std::string_view u) { return text.starts_with(u); });
    if (unit == kUnits.end()) return bad();
    text.remove_prefix(unit->size());
  }
  return {};
}

Result<std::string> template_text(const std::string& value) {
  if (!value.starts_with('@')) return value;
  std::ifstream in(value.substr(1), std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  if (!in || in.bad())
    return error(Code::kNotFound, "--template: cannot read the file '{}'", value.substr(1));
  return text;
}

Result<void> apply(RunArguments& a, std::string_view name, const std::string& value) {
  const bool on = value != "false";
  if (name == "system")
    a.system = value;
  else if (name == "template") {
    QUIPU_ASSIGN(a.template_text, template_text(value));
  } else if (name == "raw")
    a.raw = on;
  else if (name == "verbose")
    a.verbose = on;
  else if (name == "nowordwrap")
    a.word_wrap = !on;
  else if (name == "hidethinking")
    a.hide_thinking = on;
  else if (name == "format")
    a.format = value;
  else if (name == "keepalive") {
    QUIPU_TRY(check_duration(value));
  } else if (name == "no-repeat-guard")
    a.options["repeat_guard"] = !on;
  else if (name == "think") {
    static constexpr std::array<std::string_view, 6> kLevels = {"true",   "false", "high",
                                                                "medium", "low",   "max"};
    if (std::find(kLevels.begin(), kLevels.end(), value) == kLevels.end())
      return usage(fmt::format(
          "invalid value for --think: \"{}\" (must be true, false, high, medium, low, or max)", value));
    a.think = value;
  }
  return {};
}

bool is_flag(std::string_view arg) {
  if (arg.size() > 2 && arg.starts_with("--")) return true;
  // "-5 degrees?" and "- item" are prompts; "-x" is a mistyped flag.
  return arg.size() > 1 && arg[0] == '-' && std::isalpha(static_cast<unsigned char>(arg[1])) != 0;
}

// Walks over the arguments; the values of options are collected first, so that --stop can be given several
// times.
class Parser {
 public:
  explicit Parser(std::span<const std::string> args) : args_(args) {}

  Result<RunArguments> parse() {
    bool only_words = false;
    int words = 0;
    for (; at_ < args_.size(); ++at_) {
      const std::string& arg = args_[at_];
      if (!only_words && arg == "--") {
        only_words = true;
      } else if (!only_words && is_flag(arg)) {
        QUIPU_TRY(flag(arg));
        if (out_.help) return std::move(out_);
      } else if (words++ == 0) {
        out_.model = arg;
      } else {
        out_.prompt += (words > 2 ? " " : "") + arg;
      }
    }
    if (words == 0) return usage("requires at least 1 arg(s), only received 0");
    for (const auto& [option, values] : values_) {
      auto value = read_option(*option, values);
      if (!value) return usage(fmt::format("--{} {}", dashed(option->name), value.error().sentence));
      out_.options[option->name] = std::move(*value);
    }
    return std::move(out_);
  }

 private:
  Result<void> flag(const std::string& arg) {
    if (arg == "-h" || arg == "--help") {
      out_.help = true;
      return {};
    }
    const size_t equals = arg.find('=');
    const std::string name =
        arg.starts_with("--") ? arg.substr(2, equals == std::string::npos ? equals : equals - 2) : "";
    std::optional<std::string> given;
    if (equals != std::string::npos) given = arg.substr(equals + 1);

    std::string key = name;
    std::replace(key.begin(), key.end(), '-', '_');
    const RunOption* option = name.find('_') == std::string::npos ? find_run_option(key) : nullptr;
    if (option != nullptr) {
      QUIPU_ASSIGN(std::string value, value_of(name, given));
      auto& values = values_[option];
      if (option->kind != OptionKind::kTexts) values.clear();  // the last one counts
      values.push_back(std::move(value));
      return {};
    }
    const auto known =
        std::find_if(kFlags.begin(), kFlags.end(), [&](const Flag& f) { return name == f.name; });
    if (known == kFlags.end())
      return usage(fmt::format(
          "unknown flag: {} (quipu run --help lists them; -- goes before a prompt that starts with a dash)",
          arg.substr(0, equals)));
    switch (known->takes) {
      case Takes::kValue: {
        QUIPU_ASSIGN(const std::string value, value_of(name, given));
        return apply(out_, name, value);
      }
      case Takes::kMaybe:
        return apply(out_, name, given.value_or("true"));
      case Takes::kSwitch:
        break;
    }
    if (given && *given != "true" && *given != "false")
      return usage(fmt::format("--{} is on or off: it takes =true or =false, not '{}'", name, *given));
    return apply(out_, name, given.value_or("true"));
  }

  Result<std::string> value_of(const std::string& name, const std::optional<std::string>& given) {
    if (given) return *given;
    if (at_ + 1 >= args_.size()) return usage(fmt::format("--{} needs a value", name));
    return args_[++at_];
  }

  std::span<const std::string> args_;
  size_t at_ = 0;
  RunArguments out_;
  std::map<const RunOption*, std::vector<std::string>> values_;
};

}  // namespace

Result<RunArguments> parse_run_arguments(std::span<const std::string> args) { return Parser(args).parse(); }

std::string run_help() {
  std::string out =
      "Chat with a model, or answer one prompt\n\n"
      "Usage:\n"
      "  quipu run FILE [PROMPT...] [flags]\n\n"
      "FILE is a GGUF file (the first part of a split one). Without a prompt, on a terminal, a conversation "
      "starts. What is\n"
      "piped in stands in front of the prompt. -- ends the flags.\n\n"
      "Flags:\n";
  const auto line = [&](std::string_view left, std::string_view help) {
    out += fmt::format("  {:<26} {}\n", left, help);
  };
  for (const Flag& f : kFlags) {
    const char* space = f.takes == Takes::kValue ? " " : "";
    line(fmt::format("--{}{}{}", f.name, space, f.value), f.help);
  }
  line("-h, --help", "this page");
  out += "\nOptions of the run, each also under /set parameter NAME in a conversation:\n";
  for (const RunOption& o : run_options()) line(fmt::format("--{} {}", dashed(o.name), o.value), o.help);
  out += "\nExit code: 0 success, 1 failure, 2 wrong usage, 130 ended by Ctrl-C.\n";
  return out;
}

}  // namespace quipu::cli
