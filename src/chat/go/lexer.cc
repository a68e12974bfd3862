#include "chat/go/lexer.h"

#include <algorithm>
#include <array>
#include <utility>

#include "chat/go/text.h"

namespace quipu::gotmpl {

namespace {

constexpr std::string_view kLeft = "{{", kRight = "}}", kSpaces = " \t\r\n";

bool is_blank(char c) { return kSpaces.find(c) != std::string_view::npos; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_alphanumeric(char32_t r) { return r == '_' || is_letter(r) || is_decimal_digit(r); }

constexpr std::array<std::pair<std::string_view, TokenKind>, 11> kKeywords = {{
    {"block", TokenKind::kBlock},
    {"break", TokenKind::kBreak},
    {"continue", TokenKind::kContinue},
    {"define", TokenKind::kDefine},
    {"else", TokenKind::kElse},
    {"end", TokenKind::kEndKeyword},
    {"if", TokenKind::kIf},
    {"nil", TokenKind::kNil},
    {"range", TokenKind::kRange},
    {"template", TokenKind::kTemplate},
    {"with", TokenKind::kWith},
}};

}  // namespace

Token Lexer::take(TokenKind kind) {
  const Token token{kind, static_cast<uint32_t>(start_), line_, source_.substr(start_, end_ - start_)};
  skip();
  return token;
}

void Lexer::skip() {
  line_ += static_cast<uint32_t>(std::count(source_.begin() + static_cast<std::ptrdiff_t>(start_),
                                            source_.begin() + static_cast<std::ptrdiff_t>(end_), '\n'));
  start_ = end_;
}

Token Lexer::error(std::string message) {
  error_ = std::move(message);
  const Token token{TokenKind::kError, static_cast<uint32_t>(start_), line_, error_};
  start_ = end_ = source_.size();
  inside_ = false;
  return token;
}

bool Lexer::trims_right(size_t i) const {
  return i + 1 < source_.size() && is_blank(source_[i]) && source_[i + 1] == '-' &&
         starts_with(i + 2, kRight);
}

bool Lexer::ends_word() const {
  if (end_ >= source_.size()) return true;
  const char c = source_[end_];
  return is_blank(c) || std::string_view(".,|:)(").find(c) != std::string_view::npos ||
         starts_with(end_, kRight);
}

void Lexer::skip_alphanumeric() {
  while (end_ < source_.size()) {
    const Rune r = decode_rune(source_.substr(end_));
    if (!is_alphanumeric(r.value)) break;
    end_ += r.width;
  }
}

bool Lexer::accept(std::string_view characters) {
  if (end_ >= source_.size() || characters.find(source_[end_]) == std::string_view::npos) return false;
  ++end_;
  return true;
}

void Lexer::accept_all(std::string_view characters) {
  while (accept(characters)) {
  }
}

Token Lexer::next() { return inside_ ? inside() : text_token(); }

Token Lexer::text_token() {
  while (true) {
    const size_t delim = source_.find(kLeft, start_);
    if (delim == std::string_view::npos) {
      end_ = source_.size();
      return take(start_ < end_ ? TokenKind::kText : TokenKind::kEnd);
    }
    const size_t body = delim + kLeft.size();
    const bool trims = at(body) == '-' && body + 1 < source_.size() && is_blank(source_[body + 1]);
    end_ = delim;
    if (trims)
      while (end_ > start_ && is_blank(source_[end_ - 1])) --end_;
    if (end_ > start_) return take(TokenKind::kText);
    end_ = delim;
    skip();
    const size_t first = body + (trims ? 2 : 0);
    if (!starts_with(first, "/*")) {
      end_ = body;
      const Token token = take(TokenKind::kLeftDelim);
      end_ = first;
      skip();
      inside_ = true;
      parens_ = 0;
      return token;
    }
    end_ = first;
    skip();
    if (const Token token = comment(); token.is(TokenKind::kError)) return token;
  }
}

// Skips a comment and the delimiter behind it.
Token Lexer::comment() {
  const size_t close = source_.find("*/", start_ + 2);
  if (close == std::string_view::npos) return error("unclosed comment");
  end_ = close + 2;
  const bool trims = trims_right(end_);
  if (!trims && !starts_with(end_, kRight)) return error("comment ends before closing delimiter");
  end_ += kRight.size() + (trims ? 2 : 0);
  if (trims) accept_all(kSpaces);
  skip();
  return {};
}

Token Lexer::right_delim() {
  const bool trims = trims_right(end_);
  if (trims) {
    end_ += 2;
    skip();
  }
  end_ += kRight.size();
  const Token token = take(TokenKind::kRightDelim);
  if (trims) {
    accept_all(kSpaces);
    skip();
  }
  inside_ = false;
  return token;
}

Token Lexer::inside() {
  if (trims_right(end_) || starts_with(end_, kRight))
    return parens_ == 0 ? right_delim() : error("unclosed left paren");
  if (end_ >= source_.size()) return error("unclosed action");
  const char c = source_[end_];
  if (is_blank(c)) return space();
  switch (c) {
    case '"':
    case '\'':
    case '`':
      return quoted(c);
    case '.':
      if (end_ + 1 < source_.size() && !is_digit(source_[end_ + 1])) {
        ++end_;
        return field_or_variable(TokenKind::kField);
      }
      return number();
    case '$':
      ++end_;
      return field_or_variable(TokenKind::kVariable);
    default:
      break;
  }
  if (c == '+' || c == '-' || is_digit(c)) return number();
  const Rune r = decode_rune(source_.substr(end_));
  if (is_alphanumeric(r.value)) return identifier();
  end_ += r.width;
  switch (c) {
    case '=':
      return take(TokenKind::kAssign);
    case ':':
      return accept("=") ? take(TokenKind::kDeclare) : error("expected :=");
    case '|':
      return take(TokenKind::kPipe);
    case '(':
      ++parens_;
      return take(TokenKind::kLeftParen);
    case ')':
      return --parens_ < 0 ? error("unexpected right paren") : take(TokenKind::kRightParen);
    default:
      if (r.value < 0x80 && is_print(r.value)) return take(TokenKind::kOther);
      return error("unrecognized character in action: " + unicode_name(r.value, true));
  }
}

Token Lexer::space() {
  accept_all(kSpaces);
  if (trims_right(end_ - 1)) {  // the last one belongs to " -}}"
    --end_;
    if (end_ == start_) return right_delim();
  }
  return take(TokenKind::kSpace);
}

Token Lexer::identifier() {
  skip_alphanumeric();
  if (!ends_word())
    return error("bad character " + unicode_name(decode_rune(source_.substr(end_)).value, true));
  const std::string_view word = source_.substr(start_, end_ - start_);
  if (word == "true" || word == "false") return take(TokenKind::kBool);
  const auto* keyword = std::find_if(kKeywords.begin(), kKeywords.end(),
                                     [&](const auto& entry) { return entry.first == word; });
  return take(keyword == kKeywords.end() ? TokenKind::kIdentifier : keyword->second);
}

Token Lexer::field_or_variable(TokenKind kind) {
  if (ends_word()) return take(kind == TokenKind::kField ? TokenKind::kDot : kind);
  skip_alphanumeric();
  if (!ends_word())
    return error("bad character " + unicode_name(decode_rune(source_.substr(end_)).value, true));
  return take(kind);
}

Token Lexer::quoted(char quote) {
  const bool raw = quote == '`';
  for (++end_; end_ < source_.size(); ++end_) {
    const char c = source_[end_];
    if (c == quote) {
      ++end_;
      return take(quote == '\'' ? TokenKind::kCharacter : TokenKind::kString);
    }
    if (raw) continue;
    if (c == '\\') ++end_;
    if (at(end_) == '\n') break;
  }
  if (raw) return error("unterminated raw quoted string");
  return error(quote == '"' ? "unterminated quoted string" : "unterminated character constant");
}

// Takes some text that is no number; reading it finds out.
bool Lexer::scan_number() {
  accept("+-");
  std::string_view digits = "0123456789_";
  std::string_view exponent = "eE";
  if (accept("0")) {
    if (accept("xX")) {
      digits = "0123456789abcdefABCDEF_";
      exponent = "pP";
    } else if (accept("oO")) {
      digits = "01234567_";
      exponent = "";
    } else if (accept("bB")) {
      digits = "01_";
      exponent = "";
    }
  }
  accept_all(digits);
  if (accept(".")) accept_all(digits);
  if (accept(exponent)) {
    accept("+-");
    accept_all("0123456789_");
  }
  accept("i");
  if (end_ >= source_.size()) return true;
  const Rune r = decode_rune(source_.substr(end_));
  if (!is_alphanumeric(r.value)) return true;
  end_ += r.width;
  return false;
}

Token Lexer::number() {
  const auto bad = [&] {
    return error("bad number syntax: " + quote(source_.substr(start_, end_ - start_)));
  };
  if (!scan_number()) return bad();
  if (at(end_) != '+' && at(end_) != '-') return take(TokenKind::kNumber);
  return scan_number() && source_[end_ - 1] == 'i' ? take(TokenKind::kComplex) : bad();
}

}  // namespace quipu::gotmpl
