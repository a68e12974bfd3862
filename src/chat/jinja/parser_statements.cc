// The statement half of the parser, and its handling of tokens.
#include <algorithm>
#include <set>

#include "chat/jinja/ast_walk.h"
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

// ---- targets of assignments

void Parser::check_target(const Expr& target) const {
  std::string_view what;
  switch (target.kind) {
    case ExprKind::kName: {
      const std::string_view name = static_cast<const NameExpr&>(target).name;
      if (name != "true" && name != "false" && name != "none" && name != "True" && name != "False" &&
          name != "None")
        return;
      what = "name";
      break;
    }
    case ExprKind::kNamespaceRef:
      return;
    case ExprKind::kTuple:
      for (const Expr* item : static_cast<const SequenceExpr&>(target).items) {
        if (item->kind == ExprKind::kTuple || item->kind == ExprKind::kName ||
            item->kind == ExprKind::kNamespaceRef)
          check_target(*item);
        else
          what = "tuple";
      }
      if (what.empty()) return;
      break;
    case ExprKind::kConst:
      what = "const";
      break;
    case ExprKind::kList:
      what = "list";
      break;
    case ExprKind::kDict:
      what = "dict";
      break;
    default:
      what = "expression";
      break;
  }
  fail_at(target.line, fmt::format("can't assign to '{}'", what));
}

namespace {
void set_use(Expr& target, NameExpr::Use use) {
  if (target.kind == ExprKind::kName) static_cast<NameExpr&>(target).use = use;
  if (target.kind == ExprKind::kTuple)
    for (Expr* item : static_cast<SequenceExpr&>(target).items) set_use(*item, use);
}
}  // namespace

Expr* Parser::parse_target(bool with_namespace) {
  Expr* target = parse_tuple(true, true, false, with_namespace);
  check_target(*target);
  set_use(*target, NameExpr::Use::kStore);
  return target;
}

NameExpr* Parser::parse_target_name() {
  const Token token = expect(Tok::kName);
  auto* name = make<NameExpr>(token.line);
  name->name = token.text;
  name->use = NameExpr::Use::kStore;
  check_target(*name);
  return name;
}

// ---- tags

Stmt* Parser::parse_set() {
  const int line = advance().line;
  Expr* target = parse_target(true);
  if (skip_if(Tok::kAssign)) {
    auto* node = make<SetStmt>(line);
    node->target = target;
    node->value = parse_tuple(false, true, false, false);
    return node;
  }
  auto* node = make<SetBlockStmt>(line);
  node->target = target;
  node->filter = static_cast<AppliedExpr*>(parse_filter(nullptr, false));
  node->body = parse_block_body({"endset"}, true);
  return node;
}

Stmt* Parser::parse_for() {
  auto* node = make<ForStmt>(advance().line);
  node->target = parse_target(false);
  expect_name("in");
  node->iterable = parse_tuple(false, false, false, false);
  if (skip_if_name("if")) node->test = parse_expression();
  node->recursive = skip_if_name("recursive");
  node->body = parse_block_body({"endfor", "else"}, false);
  if (advance().text == "else") node->otherwise = parse_block_body({"endfor"}, true);
  return node;
}

Stmt* Parser::parse_if() {
  int line = advance().line;
  auto* node = make<IfStmt>(line);
  while (true) {
    Expr* test = parse_tuple(false, false, false, false);
    Body body = parse_block_body({"elif", "else", "endif"}, false);
    node->branches.push_back({line, test, std::move(body)});
    const Token end = advance();
    if (end.text == "elif") {
      line = current().line;
      continue;
    }
    if (end.text == "else") node->otherwise = parse_block_body({"endif"}, true);
    return node;
  }
}

Stmt* Parser::parse_with() {
  auto* node = make<WithStmt>(advance().line);
  while (current().type != Tok::kBlockEnd) {
    if (!node->targets.empty()) expect(Tok::kComma);
    Expr* target = parse_target(false);
    set_use(*target, NameExpr::Use::kParam);
    node->targets.push_back(target);
    expect(Tok::kAssign);
    node->values.push_back(parse_expression());
  }
  node->body = parse_block_body({"endwith"}, true);
  return node;
}

Stmt* Parser::parse_autoescape() {
  auto* node = make<AutoescapeStmt>(advance().line);
  node->value = parse_expression();
  node->body = parse_block_body({"endautoescape"}, true);
  return node;
}

Stmt* Parser::parse_block() {
  auto* node = make<BlockStmt>(advance().line);
  node->name = expect(Tok::kName).text;
  node->scoped = skip_if_name("scoped");
  node->required = skip_if_name("required");
  if (current().type == Tok::kSub)
    fail_at(current().line,
            "Block names in Jinja have to be valid Python identifiers and may not contain hyphens, use an "
            "underscore"
            " instead.");
  node->body = parse_block_body({"endblock"}, true);
  if (node->required) {
    for (const Stmt* s : node->body) {
      bool blank = s->kind == StmtKind::kOutput;
      if (blank)
        for (const Expr* e : static_cast<const OutputStmt*>(s)->parts)
          blank = blank && e->kind == ExprKind::kConst && static_cast<const ConstExpr*>(e)->is_data &&
                  trim(program_.literals[static_cast<const ConstExpr*>(e)->index].text).empty();
      if (!blank) fail_at(node->line, "Required blocks can only contain comments or whitespace");
    }
  }
  skip_if_name(node->name);
  return node;
}

void Parser::parse_import_context() {
  if ((current().is_name("with") || current().is_name("without")) && look().is_name("context")) {
    advance();
    advance();
  }
}

void Parser::parse_import_names(IncludeStmt& include) {
  const auto at_context = [&] {
    return (current().is_name("with") || current().is_name("without")) && look().is_name("context");
  };
  for (bool first = true;; first = false) {
    if (!first) expect(Tok::kComma);
    if (at_context()) break;
    NameExpr* name = parse_target_name();
    if (name->name.starts_with('_'))
      fail_at(name->line, "names starting with an underline can not be imported");
    include.targets.push_back(skip_if_name("as") ? parse_target_name() : name);
    if (at_context() || current().type != Tok::kComma) break;
  }
  parse_import_context();
}

Stmt* Parser::parse_include(std::string_view tag) {
  auto* node = make<IncludeStmt>(advance().line);
  node->is_extends = tag == "extends";
  node->name = parse_expression();
  if (tag == "include") {
    if (current().is_name("ignore") && look().is_name("missing")) {
      advance();
      advance();
    }
    parse_import_context();
  } else if (tag == "import") {
    expect_name("as");
    node->targets.push_back(parse_target_name());
    parse_import_context();
  } else if (tag == "from") {
    expect_name("import");
    parse_import_names(*node);
  }
  return node;
}

void Parser::parse_signature(MacroBody& macro) {
  std::set<std::string_view> seen;
  expect(Tok::kLeftParen);
  while (current().type != Tok::kRightParen) {
    if (!macro.parameters.empty()) expect(Tok::kComma);
    NameExpr* parameter = parse_target_name();
    parameter->use = NameExpr::Use::kParam;
    if (!seen.insert(parameter->name).second)
      fail_at(parameter->line,
              fmt::format("duplicate argument '{}' in function definition", parameter->name));
    if (skip_if(Tok::kAssign))
      macro.defaults.push_back(parse_expression());
    else if (!macro.defaults.empty())
      fail_at(current().line, "non-default argument follows default argument");
    macro.parameters.push_back(parameter);
  }
  advance();
}

Stmt* Parser::parse_macro() {
  auto* node = make<MacroStmt>(advance().line);
  node->name = parse_target_name();
  parse_signature(node->macro);
  node->macro.body = parse_block_body({"endmacro"}, true);
  return node;
}

Stmt* Parser::parse_call_block() {
  auto* node = make<CallBlockStmt>(advance().line);
  if (current().type == Tok::kLeftParen) parse_signature(node->macro);
  Expr* call = parse_expression();
  if (call->kind != ExprKind::kCall) fail_at(node->line, "expected call");
  node->call = static_cast<CallExpr*>(call);
  for (const auto& [name, value] : node->call->arguments.named)
    if (name == "caller") fail_at(node->line, "keyword argument repeated: caller");
  node->macro.body = parse_block_body({"endcall"}, true);
  return node;
}

Stmt* Parser::parse_generation() {
  auto* node = make<CallBlockStmt>(advance().line);
  node->macro.body = parse_block_body({"endgeneration"}, true);
  return node;
}

Stmt* Parser::parse_filter_block() {
  auto* node = make<FilterBlockStmt>(advance().line);
  node->filter = static_cast<AppliedExpr*>(parse_filter(nullptr, true));
  node->body = parse_block_body({"endfilter"}, true);
  return node;
}

Stmt* Parser::parse_print() {
  auto* node = make<OutputStmt>(advance().line);
  while (current().type != Tok::kBlockEnd) {
    if (!node->parts.empty()) expect(Tok::kComma);
    node->parts.push_back(parse_expression());
  }
  return node;
}

}  // namespace quipu::jinja
