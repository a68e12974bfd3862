#include "cli/arguments.h"

#include <algorithm>
#include <cctype>

#include "modelfile/go_values.h"

namespace quipu::cli {

namespace {

bool is_flag(std::string_view arg) {
  if (arg.size() > 2 && arg.starts_with("--")) return true;
  // "-5 degrees?" and "- item" are prompts; "-x" is a mistyped flag.
  return arg.size() > 1 && arg[0] == '-' && std::isalpha(static_cast<unsigned char>(arg[1])) != 0;
}

std::unexpected<Error> usage(std::string sentence) {
  return std::unexpected(Error{Code::kInvalidArgument, std::move(sentence), {}});
}

class Parser {
 public:
  Parser(const Command& command, std::span<const std::string> args)
      : command_(command), flags_(all_flags(command)), args_(args) {}

  Result<Arguments> parse() {
    bool only_words = false;
    for (; at_ < args_.size(); ++at_) {
      const std::string& arg = args_[at_];
      if (!only_words && arg == "--") {
        only_words = true;
      } else if (!only_words && is_flag(arg)) {
        QUIPU_TRY(arg.starts_with("--") ? long_flag(arg) : letters(arg));
        if (out_.help) return std::move(out_);
      } else {
        out_.words.push_back(arg);
      }
    }
    QUIPU_TRY(check_count());
    return std::move(out_);
  }

 private:
  Result<void> check_count() const {
    const size_t n = out_.words.size(), least = command_.least, most = command_.most;
    if (n >= least && n <= most) return {};
    if (most == kAnyNumber)
      return usage(fmt::format("requires at least {} arg(s), only received {}", least, n));
    if (least == most) return usage(fmt::format("accepts {} arg(s), received {}", least, n));
    return usage(fmt::format("accepts at most {} arg(s), received {}", most, n));
  }

  std::unexpected<Error> unknown(std::string_view flag) const {
    const char* hint = command_.most == kAnyNumber ? "; -- goes before a prompt that starts with a dash" : "";
    return usage(fmt::format("unknown flag: {} (quipu {} --help lists them{})", flag, command_.name,
                             command_.takes_run_options ? hint : ""));
  }

  Result<void> long_flag(const std::string& arg) {
    const size_t equals = arg.find('=');
    const std::string name = arg.substr(2, equals == std::string::npos ? equals : equals - 2);
    std::optional<std::string> given;
    if (equals != std::string::npos) given = arg.substr(equals + 1);
    if (name == "help" && !given) {
      out_.help = true;
      return {};
    }
    const Flag* flag = find_flag(flags_, name);
    return flag == nullptr ? unknown(arg.substr(0, equals)) : take(*flag, given);
  }

  // "-v", "-f FILE", "-fFILE", "-f=FILE"
  Result<void> letters(const std::string& arg) {
    if (arg == "-h") {
      out_.help = true;
      return {};
    }
    const auto flag = std::ranges::find(flags_, arg[1], &Flag::letter);
    if (flag == flags_.end()) return unknown(arg.substr(0, arg.find('=')));
    std::string rest = arg.substr(2);
    if (rest.empty()) return take(*flag, std::nullopt);
    if (flag->takes == Takes::kNothing && rest[0] != '=') return unknown(arg);
    if (rest[0] == '=') rest.erase(0, 1);
    return take(*flag, rest);
  }

  Result<void> take(const Flag& flag, const std::optional<std::string>& given) {
    std::string value = given.value_or("true");
    if (flag.takes == Takes::kNothing) {
      const auto on = modelfile::parse_go_bool(value);
      if (!on)
        return usage(fmt::format("--{} is on or off: it takes =true or =false, not '{}'", flag.name, value));
      value = *on ? "true" : "false";
    }
    if (flag.takes == Takes::kValue && !given) {
      if (at_ + 1 >= args_.size()) return usage(fmt::format("--{} needs a value", flag.name));
      value = args_[++at_];
    }
    out_.flags.emplace_back(flag.name, std::move(value));
    return {};
  }

  const Command& command_;
  const std::vector<Flag> flags_;
  std::span<const std::string> args_;
  size_t at_ = 0;
  Arguments out_;
};

}  // namespace

std::optional<std::string> Arguments::value(std::string_view flag) const {
  for (auto it = flags.rbegin(); it != flags.rend(); ++it)
    if (it->first == flag) return it->second;
  return std::nullopt;
}

Result<Arguments> parse_arguments(const Command& command, std::span<const std::string> args) {
  return Parser(command, args).parse();
}

}  // namespace quipu::cli
