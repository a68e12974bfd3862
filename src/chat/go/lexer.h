// Cuts a template into tokens. Between {{ and }} spaces are tokens too: they separate arguments.
//
// Threads: one Lexer belongs to one parse.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace quipu::gotmpl {

enum class TokenKind : uint8_t {
  kError,  // the text says what is wrong; nothing follows
  kEnd,
  kText,
  kLeftDelim,
  kRightDelim,
  kSpace,
  kBool,
  kCharacter,  // 'a'
  kComplex,    // 1+2i
  kNumber,
  kString,  // quoted either way
  kField,   // .Name
  kIdentifier,
  kVariable,  // $ or $name
  kAssign,    // =
  kDeclare,   // :=
  kPipe,
  kLeftParen,
  kRightParen,
  kOther,    // any other printable ASCII character
  kKeyword,  // from here on: keywords
  kBlock = kKeyword,
  kBreak,
  kContinue,
  kDefine,
  kDot,
  kElse,
  kEndKeyword,
  kIf,
  kNil,
  kRange,
  kTemplate,
  kWith,
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  uint32_t pos = 0;   // in bytes
  uint32_t line = 0;  // from 1, where it begins; 0: no token yet
  std::string_view text;

  bool is(TokenKind k) const { return kind == k; }
};

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}
  Lexer(const Lexer&) = delete;
  Lexer& operator=(const Lexer&) = delete;

  Token next();

 private:
  Token text_token();
  Token comment();
  Token right_delim();
  Token inside();
  Token space();
  Token identifier();
  Token field_or_variable(TokenKind kind);
  Token quoted(char quote);
  Token number();
  bool scan_number();

  char at(size_t i) const { return i < source_.size() ? source_[i] : '\0'; }
  bool starts_with(size_t i, std::string_view text) const { return source_.substr(i).starts_with(text); }
  bool trims_right(size_t i) const;  // " -}}" stands there
  bool ends_word() const;
  void skip_alphanumeric();
  bool accept(std::string_view characters);
  void accept_all(std::string_view characters);
  // What lies between the last token and `end_`.
  Token take(TokenKind kind);
  void skip();
  Token error(std::string message);

  const std::string_view source_;
  size_t start_ = 0, end_ = 0;
  uint32_t line_ = 1;  // of start_
  int parens_ = 0;
  bool inside_ = false;
  std::string error_;
};

}  // namespace quipu::gotmpl
