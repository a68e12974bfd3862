// What follows a value: attributes, items, calls, filters and tests.
#include "chat/jinja/builtins.h"
#include "chat/jinja/parser.h"

namespace quipu::jinja {

Expr* Parser::parse_postfix(Expr* node) {
  while (true) {
    if (current().type == Tok::kDot || current().type == Tok::kLeftBracket)
      node = parse_subscript(node);
    else if (current().type == Tok::kLeftParen)
      node = parse_call(node);
    else
      return node;
  }
}

Expr* Parser::parse_filter_chain(Expr* node) {
  while (true) {
    if (current().type == Tok::kPipe)
      node = parse_filter(node, false);
    else if (current().is_name("is"))
      node = parse_test(node);
    else if (current().type == Tok::kLeftParen)
      node = parse_call(node);
    else
      return node;
  }
}

Expr* Parser::parse_subscript(Expr* object) {
  const Token open = advance();
  if (open.type == Tok::kDot && current().type == Tok::kName) {
    auto* node = make<AttributeExpr>(open.line);
    node->object = object;
    node->name = advance().text;
    return finish(node);
  }
  auto* node = make<ItemExpr>(open.line);
  node->object = object;
  if (open.type == Tok::kDot) {
    const Token name = advance();
    if (name.type != Tok::kInteger) fail_at(name.line, "expected name or number");
    Literal literal;
    literal.kind = Literal::Kind::kInt;
    literal.integer = name.integer;
    node->key = make_literal(name.line, std::move(literal));
    return finish(node);
  }
  std::vector<Expr*> keys;
  while (current().type != Tok::kRightBracket) {
    if (!keys.empty()) expect(Tok::kComma);
    keys.push_back(parse_subscript_key());
  }
  advance();
  if (keys.size() == 1) {
    node->key = keys.front();
  } else {
    for (const Expr* key : keys)
      if (key->kind == ExprKind::kSlice) fail_at(open.line, "invalid syntax");
    auto* tuple = make<SequenceExpr>(open.line, ExprKind::kTuple);
    tuple->items = std::move(keys);
    node->key = finish(tuple);
  }
  return finish(node);
}

// One key, or start:stop:step.
Expr* Parser::parse_subscript_key() {
  const int line = current().line;
  Expr* start = nullptr;
  if (current().type != Tok::kColon) {
    start = parse_expression();
    if (current().type != Tok::kColon) return start;
  }
  advance();
  auto* slice = make<SliceExpr>(line);
  slice->start = start;
  const auto at_end = [&] { return current().type == Tok::kRightBracket || current().type == Tok::kComma; };
  if (current().type != Tok::kColon && !at_end()) slice->stop = parse_expression();
  if (skip_if(Tok::kColon) && !at_end()) slice->step = parse_expression();
  return finish(slice);
}

CallExpr* Parser::parse_call(Expr* callee) {
  auto* node = make<CallExpr>(current().line);
  node->callee = callee;
  parse_arguments(node->arguments);
  return finish(node);
}

void Parser::parse_arguments(Arguments& a) {
  const int line = expect(Tok::kLeftParen).line;
  const auto ensure = [&](bool valid) {
    if (!valid) fail_at(line, "invalid syntax for function call expression");
  };
  bool require_comma = false;
  while (current().type != Tok::kRightParen) {
    if (require_comma) {
      expect(Tok::kComma);
      if (current().type == Tok::kRightParen) break;
    }
    if (skip_if(Tok::kMul)) {
      ensure(a.star == nullptr && a.star_star == nullptr);
      a.star = parse_expression();
    } else if (skip_if(Tok::kPow)) {
      ensure(a.star_star == nullptr);
      a.star_star = parse_expression();
    } else if (current().type == Tok::kName && look().type == Tok::kAssign) {
      ensure(a.star_star == nullptr);
      const std::string_view name = advance().text;
      advance();
      for (const auto& [other, value] : a.named) {
        budget_.step();
        if (other == name) fail_at(line, fmt::format("keyword argument repeated: {}", name));
      }
      a.named.emplace_back(name, parse_expression());
    } else {
      ensure(a.star == nullptr && a.star_star == nullptr && a.named.empty());
      a.positional.push_back(parse_expression());
    }
    require_comma = true;
  }
  expect(Tok::kRightParen);
}

std::string Parser::parse_dotted_name() {
  std::string name(expect(Tok::kName).text);
  while (skip_if(Tok::kDot)) {
    name += '.';
    name += expect(Tok::kName).text;
  }
  return name;
}

// `start_inline`: a filter block, whose first filter has no pipe.
Expr* Parser::parse_filter(Expr* operand, bool start_inline) {
  while (current().type == Tok::kPipe || start_inline) {
    if (!start_inline) advance();
    auto* node = make<AppliedExpr>(current().line, ExprKind::kFilter);
    node->operand = operand;
    node->name = parse_dotted_name();
    node->function = find_filter(node->name);
    if (current().type == Tok::kLeftParen) parse_arguments(node->arguments);
    operand = finish(node);
    start_inline = false;
  }
  return operand;
}

Expr* Parser::parse_test(Expr* operand) {
  const int line = advance().line;
  const bool negated = skip_if_name("not");
  auto* node = make<AppliedExpr>(line, ExprKind::kTest);
  node->operand = operand;
  node->name = parse_dotted_name();
  node->function = find_test(node->name);
  const Token& t = current();
  switch (t.type) {
    case Tok::kLeftParen:
      parse_arguments(node->arguments);
      break;
    case Tok::kName:
      if (t.text == "else" || t.text == "or" || t.text == "and") break;
      if (t.text == "is") fail_at(t.line, "You cannot chain multiple tests with is");
      [[fallthrough]];
    case Tok::kString:
    case Tok::kInteger:
    case Tok::kFloat:
    case Tok::kLeftBracket:
    case Tok::kLeftBrace:
      node->arguments.positional.push_back(parse_postfix(parse_primary(false)));
      break;
    default:
      break;
  }
  finish(node);
  if (!negated) return node;
  auto* inverse = make<UnaryExpr>(line, ExprKind::kNot);
  inverse->operand = node;
  return finish(inverse);
}

}  // namespace quipu::jinja
