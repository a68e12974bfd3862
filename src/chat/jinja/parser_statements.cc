// Statements: one function for each tag.
#include <algorithm>
#include <set>

#include "chat/jinja/parser.h"
#include "chat/jinja/unicode.h"

namespace quipu::jinja {

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
