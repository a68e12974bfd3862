#include "chat/go/parse_state.h"

#include "chat/go/text.h"

namespace quipu::gotmpl {

namespace {

// A token as an error names it.
std::string shown(const Token& token) {
  if (token.is(TokenKind::kEnd)) return "EOF";
  if (token.is(TokenKind::kError)) return std::string(token.text);
  if (token.kind >= TokenKind::kKeyword) return fmt::format("<{}>", token.text);
  if (token.text.size() <= 10) return quote(token.text);
  size_t end = 0;
  for (int n = 0; n < 10 && end < token.text.size(); ++n) end += decode_rune(token.text.substr(end)).width;
  return quote(token.text.substr(0, end)) + "...";
}

}  // namespace

void ParseState::unexpected(const Token& token, std::string_view context) const {
  if (!token.is(TokenKind::kError)) error("unexpected {} in {}", shown(token), context);
  std::string message(token.text);
  if (scope.action_line != 0 && scope.action_line != token.line) {
    message += message.ends_with(" action") ? " started" : " in action started";
    message += fmt::format(" at :{}", scope.action_line);
  }
  error("{}", message);
}

const Token& ParseState::peek(size_t ahead) {
  while (ahead_.size() <= ahead) {
    ahead_.push_back(lexer_.next());
    scope.line = ahead_.back().line;
  }
  return ahead_[ahead];
}

const Token& ParseState::peek_word(size_t ahead) {
  while (peek(ahead).is(TokenKind::kSpace)) ++ahead;
  return ahead_[ahead];
}

Token ParseState::next() {
  const Token token = peek();
  ahead_.pop_front();
  return token;
}

Token ParseState::next_word() {
  while (peek().is(TokenKind::kSpace)) ahead_.pop_front();
  return next();
}

Token ParseState::expect(TokenKind kind, std::string_view context) {
  const Token token = next_word();
  if (!token.is(kind)) unexpected(token, context);
  return token;
}

}  // namespace quipu::gotmpl
