#include "cli/completion.h"

#include <fmt/format.h>

#include "cli/command_table.h"

namespace quipu::cli {

namespace {

constexpr std::string_view kShells = "bash zsh fish";

std::string joined(const std::vector<std::string>& texts, std::string_view before = "") {
  std::string all;
  for (const std::string& t : texts) all += fmt::format("{}{}{}", all.empty() ? "" : " ", before, t);
  return all;
}

std::string names_of_commands() {
  std::vector<std::string> names;
  for (const Command& c : command_table())
    if (c.is_shown()) names.push_back(c.name);
  return joined(names);
}

std::string pattern(const Command& c) {  // of a case in bash and zsh
  std::string all = c.name;
  for (const std::string& alias : c.aliases) all += " | " + alias;
  return all;
}

// Inside single quotes of any of the three shells; `also` are characters with a meaning of their own there.
std::string quoted(std::string_view text, std::string_view also = "") {
  std::string out;
  for (const char c : text) {
    if (c == '\'')
      out += "'\\''";
    else if (also.find(c) != also.npos)
      out += fmt::format("\\{}", c);
    else
      out += c;
  }
  return out;
}

// ---- bash

std::string bash_flags(const Command& c) {
  std::string all;
  for (const Flag& f : all_flags(c)) {
    if (f.letter != 0) all += fmt::format("-{} ", f.letter);
    all += "--" + f.name + " ";
  }
  return all + "--help";
}

std::string bash_words(const Command& c) {
  switch (c.words) {
    case Words::kModels:
    case Words::kModelsOrFiles:
      return "$(_quipu_models)";
    case Words::kCommands:
      return names_of_commands();
    case Words::kShells:
      return std::string(kShells);
    default:
      return "";
  }
}

// What a flag's value may be, where it is a word of its own.
std::string bash_values(const Command& c) {
  std::string out;
  for (const Flag& f : all_flags(c)) {
    if (f.takes != Takes::kValue) continue;
    out += fmt::format("    \"{} --{}\"", c.name, f.name);
    if (f.letter != 0) out += fmt::format(" | \"{} -{}\"", c.name, f.letter);
    out += fmt::format(") values='{}' is_value=1 ;;\n", joined(f.choices));
  }
  return out;
}

// What else may stand at a place: a flag with its value, a flag, a word.
std::string bash_places(const Command& c) {
  std::string out;
  for (const Flag& f : all_flags(c))
    if (!f.choices.empty())
      out += fmt::format("    \"{} --{}=\"*) values='{}' ;;\n", c.name, f.name,
                         joined(f.choices, "--" + f.name + "="));
  out += fmt::format("    \"{} -\"*) values='{}' ;;\n", c.name, bash_flags(c));
  if (const std::string words = bash_words(c); !words.empty())
    out += fmt::format("    \"{} \"*) values=\"{}\" ;;\n", c.name, words);
  return out;
}

}  // namespace

std::string bash_completion() {
  std::string aliases, values, places;
  for (const Command& c : command_table()) {
    if (!c.is_shown()) continue;
    for (const std::string& alias : c.aliases)
      aliases += fmt::format("    {}) command={} ;;\n", alias, c.name);
    values += bash_values(c);
    places += bash_places(c);
  }
  return R"(# Completions of quipu for bash. Made by: quipu completion bash

_quipu_models() { quipu list 2> /dev/null | awk 'NR > 1 { print $1 }'; }

_quipu() {
  # bash cuts words at : and =, which stand inside models' names and flags: the line is cut here again.
  local line=${COMP_LINE:0:COMP_POINT} cur='' prev='' command='' values='' is_value=''
  local -a typed
  read -r -a typed <<< "$line"
  if [[ $line != *[[:space:]] && ${#typed[@]} -gt 1 ]]; then
    cur=${typed[${#typed[@]}-1]}
    typed=("${typed[@]:0:${#typed[@]}-1}")
  fi
  prev=${typed[${#typed[@]}-1]}
  command=${typed[1]-}
  case $command in
)" + aliases +
         R"(  esac
  case "$command $prev" in
)" + values +
         R"(  esac
  [[ -n $is_value ]] || case "$command $cur" in
    ' '*) values=')" +
         names_of_commands() + R"( --help --version' ;;
)" + places +
         R"(  esac
  local IFS=$' \t\n' there=${cur%"${cur##*[:=]}"}
  # shellcheck disable=SC2207
  COMPREPLY=($(compgen -W "$values" -- "$cur"))
  COMPREPLY=("${COMPREPLY[@]#"$there"}")
}

complete -o bashdefault -o default -F _quipu quipu
)";
}

namespace {

// ---- zsh

std::string zsh_value(const Flag& f) {
  if (f.files) return ":" + quoted(f.value, ":") + ":_files";
  if (!f.choices.empty()) return ":" + quoted(f.value, ":") + ":(" + joined(f.choices) + ")";
  return ":" + quoted(f.value, ":") + ": ";
}

std::string zsh_flag(const Flag& f) {
  const char* after = f.takes == Takes::kValue ? "=" : f.takes == Takes::kMaybe ? "=-" : "";
  std::string rest = "[" + quoted(f.help, "[]:") + "]";
  if (f.takes != Takes::kNothing) rest += (f.takes == Takes::kMaybe ? ":" : "") + zsh_value(f);
  if (f.letter == 0) return fmt::format("'--{}{}{}'", f.name, after, rest);
  return fmt::format("'(-{0} --{1})'{{-{0}{2},--{1}{3}}}'{4}'", f.letter, f.name,
                     f.takes == Takes::kValue ? "+" : "", after, rest);
}

std::string zsh_words(const Command& c) {
  switch (c.words) {
    case Words::kModels:
      return " '*:model:_quipu_models'";
    case Words::kModelsOrFiles:
      return " '1:model or file:_quipu_models_or_files' '*:prompt: '";
    case Words::kFiles:
      return " '*:file:_files'";
    case Words::kCommands:
      return " '1:command:(" + names_of_commands() + ")'";
    case Words::kShells:
      return " '1:shell:(" + std::string(kShells) + ")'";
    default:
      return "";
  }
}

}  // namespace

std::string zsh_completion() {
  std::string out = R"zsh(#compdef quipu
# Completions of quipu for zsh. Made by: quipu completion zsh

_quipu_models() {
  local -a models
  models=(${(f)"$(quipu list 2> /dev/null | awk 'NR > 1 { gsub(":", "\\:", $1); print $1 }')"})
  _describe 'model' models
}

_quipu_models_or_files() {
  _alternative 'models:model:_quipu_models' 'files:file:_files'
}

_quipu() {
  local context state line
  typeset -A opt_args
  _arguments -C '(-h --help)'{-h,--help}'[help]' '(-v --version)'{-v,--version}'[the version]' \
    '1:command:->command' '*::argument:->argument'
  case $state in
    command)
      local -a commands
      commands=(
)zsh";
  for (const Command& c : command_table())
    if (c.is_shown()) out += fmt::format("        '{}:{}'\n", c.name, quoted(c.summary, ":"));
  out += "      )\n      _describe 'command' commands\n      ;;\n    argument)\n      case $words[1] in\n";
  for (const Command& c : command_table()) {
    if (!c.is_shown()) continue;
    out += fmt::format("        {})\n          _arguments '(-h --help)'{{-h,--help}}'[help]'", pattern(c));
    for (const Flag& f : all_flags(c)) out += " \\\n            " + zsh_flag(f);
    if (const std::string words = zsh_words(c); !words.empty()) out += " \\\n           " + words;
    out += "\n          ;;\n";
  }
  return out +
         "      esac\n      ;;\n  esac\n}\n\nif [ \"$funcstack[1]\" = _quipu ]; then _quipu \"$@\"; else "
         "compdef _quipu quipu; fi\n";
}

std::string fish_completion() {
  std::string out = R"(# Completions of quipu for fish. Made by: quipu completion fish

function __quipu_models
    quipu list 2>/dev/null | awk 'NR > 1 { print $1 }'
end

complete -c quipu -f
complete -c quipu -s h -l help -d 'help'
complete -c quipu -n __fish_use_subcommand -s v -l version -d 'the version'
)";
  for (const Command& c : command_table())
    if (c.is_shown())
      out += fmt::format("complete -c quipu -n __fish_use_subcommand -a {} -d '{}'\n", c.name,
                         quoted(c.summary));
  for (const Command& c : command_table()) {
    if (!c.is_shown()) continue;
    std::string names = c.name;
    for (const std::string& alias : c.aliases) names += " " + alias;
    const std::string start = fmt::format("complete -c quipu -n '__fish_seen_subcommand_from {}'", names);
    for (const Flag& f : all_flags(c)) {
      out += start;
      if (f.letter != 0) out += fmt::format(" -s {}", f.letter);
      out += " -l " + f.name;
      if (f.takes == Takes::kValue) out += f.files ? " -r -F" : " -x";
      if (!f.choices.empty()) out += " -a '" + joined(f.choices) + "'";
      out += " -d '" + quoted(f.help) + "'\n";
    }
    switch (c.words) {
      case Words::kModels:
        out += start + " -a '(__quipu_models)'\n";
        break;
      case Words::kModelsOrFiles:
        out += start + " -F -a '(__quipu_models)'\n";
        break;
      case Words::kFiles:
        out += start + " -F\n";
        break;
      case Words::kCommands:
        out += start + " -a '" + names_of_commands() + "'\n";
        break;
      case Words::kShells:
        out += start + " -a '" + std::string(kShells) + "'\n";
        break;
      case Words::kNothing:
        break;
    }
  }
  return out;
}

std::optional<std::string> completion_for(std::string_view shell) {
  if (shell == "bash") return bash_completion();
  if (shell == "zsh") return zsh_completion();
  if (shell == "fish") return fish_completion();
  return std::nullopt;
}

}  // namespace quipu::cli
