// The expression half of the parser, from weakest to strongest binding.
#include <algorithm>

#include "chat/jinja/ast_walk.h"
#include "chat/jinja/builtins.h"
#include "chat/jinja/parser.h"

namespace quipu::jinja {

Expr* Parser::make_literal(int line, Literal literal) {
  budget_.hold(sizeof(Literal) + literal.text.capacity());
  auto* node = make<ConstExpr>(line);
  node->index = static_cast<uint32_t>(program_.literals.size());
  program_.literals.push_back(std::move(literal));
  return node;
}

Expr* Parser::parse_expression(bool with_conditional) {
  return with_conditional ? parse_conditional() : parse_logic(ExprKind::kOr);
}

Expr* Parser::parse_conditional() {
  int line = current().line;
  Expr* yes = parse_logic(ExprKind::kOr);
  while (skip_if_name("if")) {
    auto* node = make<ConditionalExpr>(line);
    node->yes = yes;
    node->test = parse_logic(ExprKind::kOr);
    if (skip_if_name("else")) {
      const Nested nested(budget_);
      node->no = parse_conditional();
    }
    yes = finish(node);
    line = current().line;
  }
  return yes;
}

// `or` and `and`
Expr* Parser::parse_logic(ExprKind kind) {
  const bool is_or = kind == ExprKind::kOr;
  const auto operand = [&] { return is_or ? parse_logic(ExprKind::kAnd) : parse_not(); };
  const int line = current().line;
  Expr* first = operand();
  if (!current().is_name(is_or ? "or" : "and")) return first;
  auto* node = make<SequenceExpr>(line, kind);
  node->items.push_back(first);
  while (skip_if_name(is_or ? "or" : "and")) node->items.push_back(operand());
  return finish(node);
}

Expr* Parser::parse_not() {
  if (!current().is_name("not")) return parse_compare();
  const Nested nested(budget_);
  auto* node = make<UnaryExpr>(advance().line, ExprKind::kNot);
  node->operand = parse_not();
  return finish(node);
}

Expr* Parser::parse_compare() {
  const int line = current().line;
  Expr* first = parse_sum();
  ChainExpr* node = nullptr;
  while (true) {
    Op op = Op::kEq;
    switch (current().type) {
      case Tok::kEq:
        op = Op::kEq;
        break;
      case Tok::kNe:
        op = Op::kNe;
        break;
      case Tok::kLt:
        op = Op::kLt;
        break;
      case Tok::kLe:
        op = Op::kLe;
        break;
      case Tok::kGt:
        op = Op::kGt;
        break;
      case Tok::kGe:
        op = Op::kGe;
        break;
      default:
        if (current().is_name("in")) {
          op = Op::kIn;
        } else if (current().is_name("not") && look().is_name("in")) {
          advance();
          op = Op::kNotIn;
        } else {
          return node == nullptr ? first : finish(node);
        }
    }
    advance();
    if (node == nullptr) {
      node = make<ChainExpr>(line, ExprKind::kCompare);
      node->first = first;
    }
    node->rest.emplace_back(op, parse_sum());
  }
}

Expr* Parser::parse_sum() {
  const int line = current().line;
  Expr* first = parse_concat();
  ChainExpr* node = nullptr;
  while (current().type == Tok::kAdd || current().type == Tok::kSub) {
    const Op op = advance().type == Tok::kAdd ? Op::kAdd : Op::kSub;
    if (node == nullptr) {
      node = make<ChainExpr>(line, ExprKind::kArithmetic);
      node->first = first;
    }
    node->rest.emplace_back(op, parse_concat());
  }
  return node == nullptr ? first : finish(node);
}

Expr* Parser::parse_concat() {
  const int line = current().line;
  Expr* first = parse_product();
  if (current().type != Tok::kTilde) return first;
  auto* node = make<SequenceExpr>(line, ExprKind::kConcat);
  node->items.push_back(first);
  while (skip_if(Tok::kTilde)) node->items.push_back(parse_product());
  return finish(node);
}

Expr* Parser::parse_product() {
  const int line = current().line;
  Expr* first = parse_power();
  ChainExpr* node = nullptr;
  while (true) {
    Op op = Op::kMul;
    switch (current().type) {
      case Tok::kMul:
        op = Op::kMul;
        break;
      case Tok::kDiv:
        op = Op::kDiv;
        break;
      case Tok::kFloorDiv:
        op = Op::kFloorDiv;
        break;
      case Tok::kMod:
        op = Op::kMod;
        break;
      default:
        return node == nullptr ? first : finish(node);
    }
    advance();
    if (node == nullptr) {
      node = make<ChainExpr>(line, ExprKind::kArithmetic);
      node->first = first;
    }
    node->rest.emplace_back(op, parse_power());
  }
}

Expr* Parser::parse_power() {
  const int line = current().line;
  Expr* first = parse_unary(true);
  if (current().type != Tok::kPow) return first;
  auto* node = make<ChainExpr>(line, ExprKind::kArithmetic);
  node->first = first;
  while (skip_if(Tok::kPow)) node->rest.emplace_back(Op::kPow, parse_unary(true));
  return finish(node);
}

Expr* Parser::parse_unary(bool with_filter) {
  const Nested nested(budget_);
  Expr* node = nullptr;
  if (current().type == Tok::kSub || current().type == Tok::kAdd) {
    const Token sign = advance();
    auto* unary =
        make<UnaryExpr>(sign.line, sign.type == Tok::kSub ? ExprKind::kNegative : ExprKind::kPositive);
    unary->operand = parse_unary(false);
    node = finish(unary);
  } else {
    node = parse_primary(false);
  }
  node = parse_postfix(node);
  return with_filter ? parse_filter_chain(node) : node;
}

Expr* Parser::parse_name(bool with_namespace) {
  const Token token = advance();
  Literal literal;
  if (token.text == "true" || token.text == "True" || token.text == "false" || token.text == "False") {
    literal.kind = Literal::Kind::kBool;
    literal.integer = token.text == "true" || token.text == "True";
    return make_literal(token.line, std::move(literal));
  }
  if (token.text == "none" || token.text == "None") return make_literal(token.line, std::move(literal));
  if (with_namespace && skip_if(Tok::kDot)) {
    auto* node = make<NamespaceRefExpr>(token.line);
    node->name = token.text;
    node->attribute = expect(Tok::kName).text;
    return node;
  }
  auto* node = make<NameExpr>(token.line);
  node->name = token.text;
  return node;
}

Expr* Parser::parse_primary(bool with_namespace) {
  Literal literal;
  const int line = current().line;
  switch (current().type) {
    case Tok::kName:
      return parse_name(with_namespace);
    case Tok::kString:
      literal.kind = Literal::Kind::kString;
      while (current().type == Tok::kString) literal.text += advance().string;
      return make_literal(line, std::move(literal));
    case Tok::kInteger:
      literal.kind = Literal::Kind::kInt;
      literal.integer = advance().integer;
      return make_literal(line, std::move(literal));
    case Tok::kFloat:
      literal.kind = Literal::Kind::kFloat;
      literal.number = advance().number;
      return make_literal(line, std::move(literal));
    case Tok::kLeftParen: {
      advance();
      Expr* node = parse_tuple(false, true, true, false);
      expect(Tok::kRightParen);
      return node;
    }
    case Tok::kLeftBracket:
      return parse_list();
    case Tok::kLeftBrace:
      return parse_dict();
    default:
      fail_at(line, fmt::format("unexpected '{}'", describe(current().type)));
  }
}

// Expressions with commas between them are a tuple, one alone is itself.
Expr* Parser::parse_tuple(bool simplified, bool with_conditional, bool parentheses, bool with_namespace) {
  std::vector<Expr*> items;
  bool is_tuple = false;
  int line = current().line;
  while (true) {
    if (!items.empty()) expect(Tok::kComma);
    const Tok type = current().type;
    if (type == Tok::kVariableEnd || type == Tok::kBlockEnd || type == Tok::kRightParen) break;
    items.push_back(simplified ? parse_primary(with_namespace) : parse_expression(with_conditional));
    if (current().type != Tok::kComma) break;
    is_tuple = true;
    line = current().line;
  }
  if (!is_tuple) {
    if (!items.empty()) return items.front();
    if (!parentheses) {
      const std::string_view got = current().type == Tok::kName ? current().text : describe(current().type);
      fail_at(current().line, fmt::format("Expected an expression, got '{}'", got));
    }
  }
  auto* node = make<SequenceExpr>(line, ExprKind::kTuple);
  node->items = std::move(items);
  return finish(node);
}

Expr* Parser::parse_list() {
  auto* node = make<SequenceExpr>(expect(Tok::kLeftBracket).line, ExprKind::kList);
  while (current().type != Tok::kRightBracket) {
    if (!node->items.empty()) expect(Tok::kComma);
    if (current().type == Tok::kRightBracket) break;
    node->items.push_back(parse_expression());
  }
  advance();
  return finish(node);
}

Expr* Parser::parse_dict() {
  auto* node = make<DictExpr>(expect(Tok::kLeftBrace).line);
  while (current().type != Tok::kRightBrace) {
    if (!node->items.empty()) expect(Tok::kComma);
    if (current().type == Tok::kRightBrace) break;
    Expr* key = parse_expression();
    expect(Tok::kColon);
    node->items.emplace_back(key, parse_expression());
  }
  advance();
  return finish(node);
}

}  // namespace quipu::jinja
