#include "chat/jinja/lexer.h"

#include <algorithm>
#include <array>

#include "chat/jinja/literal.h"
#include "chat/jinja/text.h"
#include "chat/jinja/unicode.h"

namespace quipu::jinja {

namespace {

struct Operator {
  std::string_view text;
  Tok type;
};

// Longer ones first.
constexpr std::array<Operator, 26> kOperators = {{
    {"**", Tok::kPow},        {"//", Tok::kFloorDiv},    {"==", Tok::kEq},       {"!=", Tok::kNe},
    {">=", Tok::kGe},         {"<=", Tok::kLe},          {"+", Tok::kAdd},       {"-", Tok::kSub},
    {"/", Tok::kDiv},         {"*", Tok::kMul},          {"%", Tok::kMod},       {"~", Tok::kTilde},
    {"[", Tok::kLeftBracket}, {"]", Tok::kRightBracket}, {"(", Tok::kLeftParen}, {")", Tok::kRightParen},
    {"{", Tok::kLeftBrace},   {"}", Tok::kRightBrace},   {">", Tok::kGt},        {"<", Tok::kLt},
    {"=", Tok::kAssign},      {".", Tok::kDot},          {":", Tok::kColon},     {"|", Tok::kPipe},
    {",", Tok::kComma},       {";", Tok::kSemicolon},
}};

char closing_of(char open) { return open == '(' ? ')' : open == '[' ? ']' : '}'; }

}  // namespace

std::string_view describe(Tok type) {
  switch (type) {
    case Tok::kData:
      return "template data / text";
    case Tok::kVariableBegin:
      return "begin of print statement";
    case Tok::kVariableEnd:
      return "end of print statement";
    case Tok::kBlockBegin:
      return "begin of statement block";
    case Tok::kBlockEnd:
      return "end of statement block";
    case Tok::kName:
      return "name";
    case Tok::kString:
      return "string";
    case Tok::kInteger:
      return "integer";
    case Tok::kFloat:
      return "float";
    case Tok::kEof:
      return "end of template";
    default:
      break;
  }
  const auto op =
      std::find_if(kOperators.begin(), kOperators.end(), [&](const Operator& o) { return o.type == type; });
  return op == kOperators.end() ? "token" : op->text;
}

std::string normalize_source(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out += source[i];
      continue;
    }
    out += '\n';
    if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

void Lexer::fail_here(std::string message) const { throw Failure{Fault::kSyntax, std::move(message), line_}; }

size_t Lexer::skip_space(size_t from) const {
  while (from < source_.size()) {
    size_t next = from;
    if (!is_space(next_char(source_, next))) break;
    from = next;
  }
  return from;
}

void Lexer::move_to(size_t end) {
  const std::string_view text = source_.substr(at_, end - at_);
  budget_.work(text.size());
  line_ += static_cast<int>(std::count(text.begin(), text.end(), '\n'));
  line_starting_ = text.ends_with('\n');
  at_ = end;
}

Token Lexer::next() {
  Token token;
  if (has_pending_) {
    has_pending_ = false;
    return std::move(pending_);
  }
  while (at_ < source_.size()) {
    token.line = line_;
    bool made = false;
    switch (state_) {
      case State::kRoot:
        made = read_root(token);
        break;
      case State::kRaw:
        made = read_raw(token);
        break;
      case State::kComment:
        read_comment();
        break;
      case State::kBlock:
      case State::kVariable:
        made = read_tag(token);
        break;
    }
    if (made) return token;
    if (has_pending_) {
      has_pending_ = false;
      return std::move(pending_);
    }
  }
  token.type = Tok::kEof;
  token.line = line_;
  return token;
}

// "{% raw %}" with its signs: where it ends, or 0. `from` is behind the "{%".
size_t Lexer::match_raw_begin(size_t from) const {
  if (from < source_.size() && (source_[from] == '-' || source_[from] == '+')) ++from;
  from = skip_space(from);
  if (!source_.substr(from).starts_with("raw")) return 0;
  from = skip_space(from + 3);
  if (source_.substr(from).starts_with("-%}")) return skip_space(from + 3);
  return source_.substr(from).starts_with("%}") ? from + 2 : 0;
}

size_t Lexer::match_raw_end(size_t from, char& sign) const {
  sign = '\0';
  if (from < source_.size() && (source_[from] == '-' || source_[from] == '+')) sign = source_[from++];
  from = skip_space(from);
  if (!source_.substr(from).starts_with("endraw")) return 0;
  from = skip_space(from + 6);
  const std::string_view rest = source_.substr(from);
  if (rest.starts_with("+%}")) return from + 3;
  if (rest.starts_with("-%}")) return skip_space(from + 3);
  if (!rest.starts_with("%}")) return 0;
  return rest.starts_with("%}\n") ? from + 3 : from + 2;
}

// The text before a tag without what the tag's sign, or lstrip_blocks, takes away.
std::string_view Lexer::strip_before_tag(std::string_view text, char sign, bool variable) const {
  if (sign == '-') return trim_right(text);
  if (sign == '+' || variable) return text;
  const size_t newline = text.rfind('\n');
  if (newline == std::string_view::npos && !line_starting_) return text;
  const size_t start = newline == std::string_view::npos ? 0 : newline + 1;
  return trim_left(text.substr(start)).empty() ? text.substr(0, start) : text;
}

bool Lexer::read_root(Token& token) {
  size_t open = at_;
  for (;; ++open) {
    open = source_.find('{', open);
    if (open == std::string_view::npos || open + 1 >= source_.size()) {
      token.type = Tok::kData;
      token.text = source_.substr(at_);
      move_to(source_.size());
      return true;
    }
    const char kind = source_[open + 1];
    if (kind == '%' || kind == '{' || kind == '#') break;
  }
  const char kind = source_[open + 1];
  const size_t raw_end = kind == '%' ? match_raw_begin(open + 2) : 0;
  size_t end = open + 2;
  const char sign =
      end < source_.size() && (source_[end] == '-' || source_[end] == '+') ? source_[end] : '\0';
  if (sign != '\0') ++end;
  token.type = Tok::kData;
  token.text = strip_before_tag(source_.substr(at_, open - at_), sign, kind == '{');
  move_to(open);
  pending_.line = line_;
  move_to(raw_end != 0 ? raw_end : end);
  if (raw_end != 0) {
    state_ = State::kRaw;
  } else if (kind == '#') {
    state_ = State::kComment;
  } else {
    state_ = kind == '%' ? State::kBlock : State::kVariable;
    pending_.type = kind == '%' ? Tok::kBlockBegin : Tok::kVariableBegin;
    has_pending_ = true;
  }
  return !token.text.empty();
}

bool Lexer::read_raw(Token& token) {
  size_t open = at_, end = 0;
  char sign = '\0';
  for (;; ++open) {
    open = source_.find("{%", open);
    if (open == std::string_view::npos) fail_here("Missing end of raw directive");
    end = match_raw_end(open + 2, sign);
    if (end != 0) break;
    budget_.step();
  }
  token.type = Tok::kData;
  token.text = strip_before_tag(source_.substr(at_, open - at_), sign, false);
  move_to(end);
  state_ = State::kRoot;
  return !token.text.empty();
}

void Lexer::read_comment() {
  size_t end = source_.find("#}", at_);
  if (end == std::string_view::npos) fail_here("Missing end of comment tag");
  const char sign = end > at_ ? source_[end - 1] : '\0';
  end += 2;
  if (sign == '-')
    end = skip_space(end);
  else if (sign != '+' && source_.substr(end).starts_with('\n'))
    ++end;
  move_to(end);
  state_ = State::kRoot;
}

bool Lexer::read_end_of_tag(Token& token) {
  if (!brackets_.empty()) return false;
  size_t end = at_;
  if (state_ == State::kVariable) {
    if (at("-}}"))
      end = skip_space(at_ + 3);
    else if (at("}}"))
      end = at_ + 2;
  } else if (at("+%}")) {
    end = at_ + 3;
  } else if (at("-%}")) {
    end = skip_space(at_ + 3);
  } else if (at("%}")) {
    end = at_ + (at("%}\n") ? 3 : 2);
  }
  if (end == at_) return false;
  token.type = state_ == State::kVariable ? Tok::kVariableEnd : Tok::kBlockEnd;
  move_to(end);
  state_ = State::kRoot;
  return true;
}

bool Lexer::read_tag(Token& token) {
  budget_.step();
  if (read_end_of_tag(token)) return true;
  if (const size_t end = skip_space(at_); end != at_) {
    move_to(end);
    return false;
  }
  if (read_number(token) || read_name(token) || read_string(token) || read_operator(token)) return true;
  size_t next = at_;
  next_char(source_, next);
  fail_here(fmt::format("unexpected char {} at {}", python_quoted(source_.substr(at_, next - at_)),
                        count_chars(source_.substr(0, at_))));
}

bool Lexer::read_number(Token& token) {
  if (peek(0) < '0' || peek(0) > '9') return false;
  const bool after_dot = at_ > 0 && source_[at_ - 1] == '.';
  const NumberSpan span = match_number(source_.substr(at_), !after_dot);
  const std::string_view text = source_.substr(at_, span.length);
  if (span.is_float) {
    token.type = Tok::kFloat;
    token.number = parse_float_literal(text);
  } else {
    token.type = Tok::kInteger;
    if (!parse_integer_literal(text, token.integer)) fail_here("the integer is too large");
  }
  move_to(at_ + span.length);
  return true;
}

bool Lexer::read_name(Token& token) {
  size_t end = at_;
  while (end < source_.size()) {
    size_t next = end;
    if (!is_word(next_char(source_, next))) break;
    end = next;
  }
  if (end == at_) return false;
  token.type = Tok::kName;
  token.text = source_.substr(at_, end - at_);
  if (!is_identifier(token.text)) fail_here("Invalid character in identifier");
  move_to(end);
  return true;
}

bool Lexer::read_string(Token& token) {
  const char quote = peek(0);
  if (quote != '\'' && quote != '"') return false;
  size_t end = at_ + 1;
  while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
  if (end >= source_.size()) {
    budget_.work(source_.size() - at_);
    return false;
  }
  token.type = Tok::kString;
  std::string_view error;
  if (!decode_string_literal(source_.substr(at_ + 1, end - at_ - 1), token.string, error))
    fail_here(std::string(error));
  move_to(end + 1);
  return true;
}

bool Lexer::read_operator(Token& token) {
  const auto op =
      std::find_if(kOperators.begin(), kOperators.end(), [&](const Operator& o) { return at(o.text); });
  if (op == kOperators.end()) return false;
  const char c = op->text[0];
  if (c == '(' || c == '[' || c == '{') {
    brackets_.push_back(closing_of(c));
  } else if (c == ')' || c == ']' || c == '}') {
    if (brackets_.empty()) fail_here(fmt::format("unexpected '{}'", c));
    const char due = brackets_.back();
    brackets_.pop_back();
    if (due != c) fail_here(fmt::format("unexpected '{}', expected '{}'", c, due));
  }
  token.type = op->type;
  token.text = source_.substr(at_, op->text.size());
  move_to(at_ + op->text.size());
  return true;
}

}  // namespace quipu::jinja
