// Cuts a template into tokens, with the whitespace control of Jinja (trim_blocks, lstrip_blocks and the signs
// + and -). Tokens are made one by one, so that of several mistakes the first one is reported.
//
// Threads: one Lexer belongs to one parse, on one thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "chat/jinja/budget.h"
#include "chat/jinja/value.h"

namespace quipu::jinja {

enum class Tok : uint8_t {
  kData,
  kVariableBegin,
  kVariableEnd,
  kBlockBegin,
  kBlockEnd,
  kName,
  kString,
  kInteger,
  kFloat,
  kAdd,
  kSub,
  kMul,
  kDiv,
  kFloorDiv,
  kMod,
  kPow,
  kTilde,
  kEq,
  kNe,
  kLt,
  kLe,
  kGt,
  kGe,
  kLeftParen,
  kRightParen,
  kLeftBracket,
  kRightBracket,
  kLeftBrace,
  kRightBrace,
  kAssign,
  kDot,
  kColon,
  kPipe,
  kComma,
  kSemicolon,
  kEof,
};

// How messages call a kind of token.
std::string_view describe(Tok type);

struct Token {
  Tok type = Tok::kEof;
  int line = 1;
  std::string_view text;  // what stands in the source: data, a name
  std::string string;     // a string literal's value
  Int integer = 0;
  double number = 0;

  bool is_name(std::string_view name) const { return type == Tok::kName && text == name; }
};

// Line ends become '\n' and a single one at the end is dropped. What a Lexer reads has to have gone through
// this.
std::string normalize_source(std::string_view source);

class Lexer {
 public:
  // Tokens refer to `source`, which has to outlive them.
  Lexer(std::string_view source, Budget& budget) : source_(source), budget_(budget) {}
  Token next();

 private:
  enum class State : uint8_t { kRoot, kComment, kBlock, kVariable, kRaw };

  bool at(std::string_view text) const { return source_.substr(at_).starts_with(text); }
  char peek(size_t offset) const { return at_ + offset < source_.size() ? source_[at_ + offset] : '\0'; }
  size_t skip_space(size_t from) const;
  void move_to(size_t end);

  bool read_root(Token& token);
  bool read_raw(Token& token);
  void read_comment();
  bool read_tag(Token& token);
  bool read_end_of_tag(Token& token);
  bool read_number(Token& token);
  bool read_name(Token& token);
  bool read_string(Token& token);
  bool read_operator(Token& token);
  std::string_view strip_before_tag(std::string_view text, char sign, bool variable) const;
  size_t match_raw_begin(size_t from) const;
  size_t match_raw_end(size_t from, char& sign) const;
  [[noreturn]] void fail_here(std::string message) const;

  std::string_view source_;
  Budget& budget_;
  size_t at_ = 0;
  int line_ = 1;
  State state_ = State::kRoot;
  bool line_starting_ = true;
  std::vector<char> brackets_;  // the closing ones that are due
  Token pending_;               // the tag that follows data
  bool has_pending_ = false;
};

}  // namespace quipu::jinja
