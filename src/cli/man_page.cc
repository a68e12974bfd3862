#include "cli/man_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "cli/help_page.h"

namespace quipu::cli {

namespace {

// A dash that is typed, a backslash, and a line that roff would take for a request.
std::string escaped(std::string_view text) {
  std::string out;
  bool line_start = true;
  for (const char c : text) {
    if (line_start && (c == '.' || c == '\'')) out += "\\&";
    line_start = c == '\n';
    if (c == '-')
      out += "\\-";
    else if (c == '\\')
      out += "\\e";
    else
      out += c;
  }
  return out;
}

std::string upper(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

std::string head(const std::string& name, std::string_view version, const std::string& summary) {
  return fmt::format(".TH {} 1 \"\" \"quipu {}\" \"Quipu\"\n.SH NAME\n{} \\- {}\n", upper(escaped(name)),
                     escaped(version), escaped(name), escaped(summary));
}

void append_item(std::string& out, const std::string& what, const std::string& help) {
  out += fmt::format(".TP\n\\fB{}\\fR\n{}\n", escaped(what), escaped(help));
}

void append_flag(std::string& out, const Flag& flag) {
  append_item(out, (flag.letter != 0 ? fmt::format("-{}, ", flag.letter) : "") + flag_syntax(flag),
              flag.help);
}

// Paragraphs; lines that are laid out (with two blanks inside) stay as they are.
void append_details(std::string& out, const std::string& details) {
  const bool laid_out = details.find("  ") != std::string::npos;
  if (laid_out) out += ".nf\n";
  for (size_t at = 0; at < details.size();) {
    const size_t end = std::min(details.find('\n', at), details.size());
    const std::string line = details.substr(at, end - at);
    out += line.empty() ? ".PP\n" : escaped(line) + "\n";
    at = end + 1;
  }
  if (laid_out) out += ".fi\n";
}

void append_variable(std::string& out, const EnvironmentVariable& v) {
  append_item(out, v.other.empty() ? v.name : v.name + ", " + v.other, v.help);
}

constexpr const char* kExitStatus =
    ".SH EXIT STATUS\n0 success, 1 failure, 2 wrong usage, 130 ended by Ctrl\\-C.\n";

}  // namespace

std::string man_page(std::string_view version) {
  std::string out = head("quipu", version, "runs language models on this machine");
  out += ".SH SYNOPSIS\n.B quipu\n.I COMMAND\n[\\fIARGUMENTS\\fR...] [\\fIflags\\fR]\n.SH COMMANDS\n";
  for (const Command& c : command_table())
    if (c.is_shown())
      append_item(out, "quipu " + c.name + (c.arguments.empty() ? "" : " " + c.arguments), c.summary);
  out += ".SH OPTIONS\n";
  append_item(out, "-h, --help", "the commands; after a command, that command's page");
  append_item(out, "-v, --version", "the version");
  out += ".SH ENVIRONMENT\n";
  for (const EnvironmentVariable& v : environment_variables()) append_variable(out, v);
  out += kExitStatus;
  out += ".SH SEE ALSO\n";
  std::string pages;
  for (const Command& c : command_table())
    if (c.is_shown()) pages += fmt::format("{}\\fBquipu\\-{}\\fR(1)", pages.empty() ? "" : ",\n", c.name);
  return out + pages + "\n";
}

std::string man_page(const Command& command, std::string_view version) {
  std::string out = head("quipu-" + command.name, version, command.summary);
  out += fmt::format(".SH SYNOPSIS\n\\fBquipu {}\\fR {}{}\n", command.name, escaped(command.arguments),
                     command.flags.empty() ? "" : " [flags]");
  for (const std::string& alias : command.aliases)
    out += fmt::format(".br\n\\fBquipu {}\\fR {}{}\n", alias, escaped(command.arguments),
                       command.flags.empty() ? "" : " [flags]");
  if (!command.details.empty()) {
    out += ".SH DESCRIPTION\n";
    append_details(out, command.details);
  }
  out += ".SH OPTIONS\n";
  for (const Flag& f : command.flags) append_flag(out, f);
  append_item(out, "-h, --help", "the same in short");
  if (command.takes_run_options) {
    out += ".SH OPTIONS OF THE RUN\nEach also under /set parameter NAME in a conversation.\n";
    for (const Flag& f : run_option_flags()) append_flag(out, f);
  }
  if (!command.variables.empty()) {
    out += ".SH ENVIRONMENT\n";
    for (const std::string& name : command.variables)
      if (const EnvironmentVariable* v = find_variable(name)) append_variable(out, *v);
  }
  out += kExitStatus;
  return out + ".SH SEE ALSO\n\\fBquipu\\fR(1)\n";
}

}  // namespace quipu::cli
