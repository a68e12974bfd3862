#include "modelfile/modelfile.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/go_text.h"
#include "base/utf8.h"
#include "modelfile/source_text.h"

namespace quipu::modelfile {

namespace {

constexpr std::array<std::string_view, 11> kWords = {"from",      "license", "template", "system",
                                                     "adapter",   "draft",   "renderer", "parser",
                                                     "parameter", "message", "requires"};

// Is this command's name its own word? All others are parameters, also one that is called "from".
bool is_instruction(std::string_view name) {
  return name != "from" && name != "parameter" && std::ranges::find(kWords, name) != kWords.end();
}

constexpr std::array<std::string_view, 3> kRoles = {"system", "user", "assistant"};
constexpr std::string_view kRoleEnd = ": ";  // between role and text in a message's args

bool is_letter(char32_t c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_blank(char32_t c) { return c == ' ' || c == '\t'; }
bool is_line_end(char32_t c) { return c == '\r' || c == '\n'; }

// What a value stands for once it is complete; nothing while a quote is open.
std::optional<std::string_view> without_quotes(std::string_view value) {
  for (const std::string_view quote : {std::string_view(R"(""")"), std::string_view(R"(")")}) {
    if (!value.starts_with(quote)) continue;
    if (value.size() < 2 * quote.size() || !value.ends_with(quote)) return std::nullopt;
    return value.substr(quote.size(), value.size() - 2 * quote.size());
  }
  return value;
}

// A value as it grows. Where its text begins and ends is kept up to date, so that each line end costs the
// same however long the value is.
class Value {
 public:
  void add(char32_t c) {
    if (!is_blank(c) && !is_line_end(c)) {
      if (end_ == 0) begin_ = text_.size();
      append_code_point(text_, c);
      end_ = text_.size();
    } else {
      append_code_point(text_, c);
    }
  }
  std::optional<std::string_view> complete() const {
    return without_quotes(std::string_view(text_).substr(begin_, end_ - begin_));
  }

 private:
  std::string text_;
  size_t begin_ = 0, end_ = 0;
};

class Parser {
 public:
  explicit Parser(std::string_view text) : rest_(text) {}

  Result<Modelfile> run() {
    Modelfile file;
    while (const auto c = next()) {
      if (is_blank(*c) || is_line_end(*c)) continue;
      if (*c == '#') {
        skip_line();
        continue;
      }
      QUIPU_ASSIGN(Command command, read_command(*c));
      file.commands.push_back(std::move(command));
    }
    if (std::ranges::none_of(file.commands, [](const Command& c) { return c.name == "model"; }))
      return error(Code::kInvalidArgument, "no FROM line");
    return file;
  }

 private:
  std::optional<char32_t> next() {
    if (rest_.empty()) return std::nullopt;
    const Utf8Char c = decode_utf8(rest_);
    rest_.remove_prefix(c.bytes);
    if (is_line_end(c.value)) ++line_;
    return c.value;
  }

  void skip_line() {
    for (auto c = next(); c && !is_line_end(*c);) c = next();
  }

  std::unexpected<Error> here(std::string_view sentence) const {
    return error(Code::kInvalidArgument, "(line {}): {}", line_, sentence);
  }
  std::unexpected<Error> unknown_command() const {
    return here(
        R"(command must be one of "from", "license", "template", "system", "adapter", "draft", "renderer", "parser", )"
        R"("parameter", "message", or "requires")");
  }
  static std::unexpected<Error> early_end() { return error(Code::kInvalidArgument, "unexpected EOF"); }

  // `first` is the character that begins the command.
  Result<Command> read_command(char32_t first) {
    QUIPU_ASSIGN(const std::string_view word, read_word(first));
    Command command;
    if (word == "from") {
      command.name = "model";
    } else if (word == "parameter") {
      QUIPU_ASSIGN(command.name,
                   read_label([](char32_t c) { return is_letter(c) || (c >= '0' && c <= '9') || c == '_'; }));
    } else if (word == "message") {
      command.name = word;
      QUIPU_ASSIGN(const std::string role, read_label(is_letter));
      if (std::ranges::find(kRoles, role) == kRoles.end())
        return here(R"(message role must be one of "system", "user", or "assistant")");
      command.args = role + std::string(kRoleEnd);
    } else {
      command.name = word;
    }
    QUIPU_ASSIGN(const std::string value, read_value());
    command.args += value;
    return command;
  }

  // The command's word, one of kWords, and the blank behind it.
  Result<std::string_view> read_word(char32_t first) {
    std::string word;
    if (is_go_printable(first)) append_code_point(word, first);
    for (;;) {
      const auto c = next();
      if (!c) return early_end();
      if (is_blank(*c)) break;
      if (!is_letter(*c)) return unknown_command();
      word += static_cast<char>(*c);
    }
    for (char& c : word)
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    const auto known = std::ranges::find(kWords, word);
    if (known == kWords.end()) return unknown_command();
    return *known;
  }

  // A parameter's name or a message's role, and the blank behind it.
  template <class Allowed>
  Result<std::string> read_label(Allowed allowed) {
    std::string label;
    for (;;) {
      const auto c = next();
      if (!c) return early_end();
      if (is_blank(*c)) return label;
      if (!allowed(*c)) return error(Code::kInvalidArgument, "unexpected EOF: {}", label);
      label += static_cast<char>(*c);
    }
  }

  // To the end of a line at which no quote is open.
  Result<std::string> read_value() {
    Value value;
    for (;;) {
      const auto c = next();
      if (!c || is_line_end(*c)) {
        if (const auto text = value.complete()) return std::string(*text);
        if (!c) return early_end();
      }
      if (is_blank(*c) || is_line_end(*c) || is_go_printable(*c)) value.add(*c);
    }
  }

  std::string_view rest_;
  int64_t line_ = 1;
};

std::string quoted(std::string_view value) {
  if (value.find('\n') == value.npos && !value.starts_with(' ') && !value.ends_with(' '))
    return std::string(value);
  const std::string quote = value.find('"') == value.npos ? R"(")" : R"(""")";
  return quote + std::string(value) + quote;
}

std::string format_command(const Command& command) {
  if (command.name == "model") return "FROM " + command.args;
  if (command.name == "message") {
    const size_t end = command.args.find(kRoleEnd);
    if (end == std::string::npos) return "MESSAGE " + command.args + " ";
    return "MESSAGE " + command.args.substr(0, end) + " " +
           quoted(command.args.substr(end + kRoleEnd.size()));
  }
  std::string name = command.name;
  if (is_instruction(name))
    for (char& c : name) c = static_cast<char>(c - 'a' + 'A');
  else
    name.insert(0, "PARAMETER ");
  return name + " " + quoted(command.args);
}

}  // namespace

Result<Modelfile> parse_modelfile(std::string_view bytes) {
  const std::string text = decode_source(bytes);
  return Parser(text).run();
}

std::string format_modelfile(const Modelfile& modelfile) {
  std::string out;
  for (const Command& command : modelfile.commands) out += format_command(command) + "\n";
  return out;
}

}  // namespace quipu::modelfile
