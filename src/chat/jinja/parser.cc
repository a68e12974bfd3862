// The parser's handling of tokens, and the sequence of text and tags.
#include "chat/jinja/parser.h"

#include "chat/jinja/unicode.h"

namespace quipu::jinja {

namespace {
std::string_view text_of(const Token& token) {
  return token.type == Tok::kName ? token.text : describe(token.type);
}
}  // namespace

std::unique_ptr<Program> parse_program(std::string_view source, Budget& budget) {
  auto program = std::make_unique<Program>();
  program->source = normalize_source(to_valid_utf8(source));
  Parser parser(*program, budget);
  parser.parse();
  return program;
}

Parser::Parser(Program& program, Budget& budget)
    : program_(program), budget_(budget), lexer_(program.source, budget) {}

void Parser::parse() {
  current_ = lexer_.next();
  program_.body = parse_body({});
}

// ---- tokens

const Token& Parser::look() {
  if (!has_ahead_) ahead_ = lexer_.next();
  has_ahead_ = true;
  return ahead_;
}

Token Parser::advance() {
  Token token = std::move(current_);
  current_ = has_ahead_ ? std::move(ahead_) : lexer_.next();
  has_ahead_ = false;
  return token;
}

bool Parser::skip_if(Tok type) {
  if (current().type != type) return false;
  advance();
  return true;
}

bool Parser::skip_if_name(std::string_view name) {
  if (!current().is_name(name)) return false;
  advance();
  return true;
}

void Parser::fail_at(int line, std::string message) const {
  throw Failure{Fault::kSyntax, std::move(message), line};
}

void Parser::fail_expected(std::string_view expected) const {
  if (current().type == Tok::kEof)
    fail_at(current().line, fmt::format("unexpected end of template, expected '{}'.", expected));
  fail_at(current().line, fmt::format("expected token '{}', got '{}'", expected, text_of(current())));
}

Token Parser::expect(Tok type) {
  if (current().type != type) fail_expected(describe(type));
  return advance();
}

Token Parser::expect_name(std::string_view name) {
  if (!current().is_name(name)) fail_expected(name);
  return advance();
}

bool Parser::at_one_of(const Names& names) const {
  return std::any_of(names.begin(), names.end(),
                     [&](std::string_view name) { return current().is_name(name); });
}

// A tag that does not belong here, or (no name) the end of the template within a block.
void Parser::fail_tag(std::string_view name, int line) const {
  std::string message =
      name.empty() ? "Unexpected end of template." : fmt::format("Encountered unknown tag '{}'.", name);
  if (!end_tags_.empty()) {
    std::string looking;
    for (const std::string_view tag : end_tags_.back())
      looking += fmt::format("{}'{}'", looking.empty() ? "" : " or ", tag);
    const bool known = std::any_of(end_tags_.begin(), end_tags_.end(), [&](const auto& tags) {
      return std::find(tags.begin(), tags.end(), name) != tags.end();
    });
    message +=
        known ? fmt::format(
                    " You probably made a nesting mistake. Jinja is expecting this tag, but currently looking"
                    " for {}.",
                    looking)
              : fmt::format(" Jinja was looking for the following tags: {}.", looking);
  }
  if (!open_tags_.empty())
    message += fmt::format(" The innermost block that needs to be closed is '{}'.", open_tags_.back());
  fail_at(line, std::move(message));
}

// ---- bodies

// Up to one of the end tags, which is then the current token; without any, up to the end of the template.
Body Parser::parse_body(const Names& end) {
  const Nested nested(budget_);
  Body body;
  OutputStmt* output = nullptr;
  if (end.size() != 0) end_tags_.emplace_back(end);
  while (current().type != Tok::kEof) {
    const Tok type = current().type;
    const int line = current().line;
    if (type == Tok::kData || type == Tok::kVariableBegin) {
      if (output == nullptr) {
        output = make<OutputStmt>(line);
        body.push_back(output);
      }
      const Token token = advance();
      if (type == Tok::kData) {
        Literal literal;
        literal.kind = Literal::Kind::kString;
        literal.text = token.text;
        Expr* data = make_literal(line, std::move(literal));
        static_cast<ConstExpr*>(data)->is_data = true;
        output->parts.push_back(data);
      } else {
        output->parts.push_back(parse_tuple(false, true, false, false));
        expect(Tok::kVariableEnd);
      }
      continue;
    }
    output = nullptr;
    advance();  // the lexer yields nothing else here but the beginning of a block
    if (at_one_of(end)) break;
    body.push_back(parse_statement());
    expect(Tok::kBlockEnd);
  }
  if (end.size() != 0) end_tags_.pop_back();
  return body;
}

Body Parser::parse_block_body(const Names& end, bool drop_end) {
  skip_if(Tok::kColon);
  expect(Tok::kBlockEnd);
  Body body = parse_body(end);
  if (current().type == Tok::kEof) {
    end_tags_.emplace_back(end);
    fail_tag({}, current().line);
  }
  if (drop_end) advance();
  return body;
}

Stmt* Parser::parse_statement() {
  if (current().type != Tok::kName) fail_at(current().line, "tag name expected");
  const std::string_view tag = current().text;
  open_tags_.push_back(tag);
  Stmt* statement = parse_tag(tag);
  open_tags_.pop_back();
  return statement;
}

Stmt* Parser::parse_tag(std::string_view tag) {
  if (tag == "if") return parse_if();
  if (tag == "set") return parse_set();
  if (tag == "for") return parse_for();
  if (tag == "macro") return parse_macro();
  if (tag == "call") return parse_call_block();
  if (tag == "filter") return parse_filter_block();
  if (tag == "generation") return parse_generation();
  if (tag == "break") return make<SimpleStmt>(advance().line, StmtKind::kBreak);
  if (tag == "continue") return make<SimpleStmt>(advance().line, StmtKind::kContinue);
  if (tag == "with") return parse_with();
  if (tag == "print") return parse_print();
  if (tag == "block") return parse_block();
  if (tag == "autoescape") return parse_autoescape();
  if (tag == "include" || tag == "import" || tag == "from" || tag == "extends") return parse_include(tag);
  open_tags_.pop_back();
  fail_tag(tag, current().line);
}

}  // namespace quipu::jinja
