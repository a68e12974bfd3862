// The children of a node, in the order in which Jinja visits them: that order decides which names count as
// declared.
//
// Threads: pure functions.
#pragma once

#include "chat/jinja/ast.h"

namespace quipu::jinja {

template <class F>
void for_each_argument(const Arguments& a, F&& f) {
  for (Expr* e : a.positional) f(e);
  for (const auto& [name, e] : a.named) f(e);
  if (a.star != nullptr) f(a.star);
  if (a.star_star != nullptr) f(a.star_star);
}

template <class F>
void for_each_child(const Expr& expr, F&& f) {
  const auto maybe = [&](Expr* e) {
    if (e != nullptr) f(e);
  };
  switch (expr.kind) {
    case ExprKind::kConst:
    case ExprKind::kName:
    case ExprKind::kNamespaceRef:
      break;
    case ExprKind::kTuple:
    case ExprKind::kList:
    case ExprKind::kAnd:
    case ExprKind::kOr:
    case ExprKind::kConcat:
      for (Expr* e : static_cast<const SequenceExpr&>(expr).items) f(e);
      break;
    case ExprKind::kDict:
      for (const auto& [key, value] : static_cast<const DictExpr&>(expr).items) {
        f(key);
        f(value);
      }
      break;
    case ExprKind::kConditional: {
      const auto& e = static_cast<const ConditionalExpr&>(expr);
      f(e.test);
      f(e.yes);
      maybe(e.no);
      break;
    }
    case ExprKind::kNot:
    case ExprKind::kNegative:
    case ExprKind::kPositive:
      f(static_cast<const UnaryExpr&>(expr).operand);
      break;
    case ExprKind::kCompare:
    case ExprKind::kArithmetic: {
      const auto& e = static_cast<const ChainExpr&>(expr);
      f(e.first);
      for (const auto& [op, operand] : e.rest) f(operand);
      break;
    }
    case ExprKind::kAttribute:
      f(static_cast<const AttributeExpr&>(expr).object);
      break;
    case ExprKind::kItem: {
      const auto& e = static_cast<const ItemExpr&>(expr);
      f(e.object);
      f(e.key);
      break;
    }
    case ExprKind::kSlice: {
      const auto& e = static_cast<const SliceExpr&>(expr);
      maybe(e.start);
      maybe(e.stop);
      maybe(e.step);
      break;
    }
    case ExprKind::kCall: {
      const auto& e = static_cast<const CallExpr&>(expr);
      f(e.callee);
      for_each_argument(e.arguments, f);
      break;
    }
    case ExprKind::kFilter:
    case ExprKind::kTest: {
      const auto& e = static_cast<const AppliedExpr&>(expr);
      maybe(e.operand);
      for_each_argument(e.arguments, f);
      break;
    }
  }
}

// `f` gets expressions, `g` statements.
template <class F, class G>
void for_each_child(const Stmt& stmt, F&& f, G&& g) {
  const auto body = [&](const Body& statements) {
    for (Stmt* s : statements) g(s);
  };
  const auto macro = [&](const MacroBody& m) {
    for (NameExpr* p : m.parameters) f(p);
    for (Expr* e : m.defaults) f(e);
    body(m.body);
  };
  switch (stmt.kind) {
    case StmtKind::kOutput:
      for (Expr* e : static_cast<const OutputStmt&>(stmt).parts) f(e);
      break;
    case StmtKind::kIf: {
      const auto& s = static_cast<const IfStmt&>(stmt);
      for (const IfStmt::Branch& b : s.branches) {
        f(b.test);
        body(b.body);
      }
      body(s.otherwise);
      break;
    }
    case StmtKind::kFor: {
      const auto& s = static_cast<const ForStmt&>(stmt);
      f(s.target);
      f(s.iterable);
      body(s.body);
      body(s.otherwise);
      if (s.test != nullptr) f(s.test);
      break;
    }
    case StmtKind::kMacro:
      macro(static_cast<const MacroStmt&>(stmt).macro);
      break;
    case StmtKind::kCallBlock: {
      const auto& s = static_cast<const CallBlockStmt&>(stmt);
      if (s.call != nullptr) f(s.call);
      macro(s.macro);
      break;
    }
    case StmtKind::kFilterBlock: {
      const auto& s = static_cast<const FilterBlockStmt&>(stmt);
      body(s.body);
      f(s.filter);
      break;
    }
    case StmtKind::kSet: {
      const auto& s = static_cast<const SetStmt&>(stmt);
      f(s.target);
      f(s.value);
      break;
    }
    case StmtKind::kSetBlock: {
      const auto& s = static_cast<const SetBlockStmt&>(stmt);
      f(s.target);
      if (s.filter != nullptr) f(s.filter);
      body(s.body);
      break;
    }
    case StmtKind::kWith: {
      const auto& s = static_cast<const WithStmt&>(stmt);
      for (Expr* e : s.targets) f(e);
      for (Expr* e : s.values) f(e);
      body(s.body);
      break;
    }
    case StmtKind::kAutoescape: {
      const auto& s = static_cast<const AutoescapeStmt&>(stmt);
      f(s.value);
      body(s.body);
      break;
    }
    case StmtKind::kBlock:
      body(static_cast<const BlockStmt&>(stmt).body);
      break;
    case StmtKind::kBreak:
    case StmtKind::kContinue:
      break;
    case StmtKind::kInclude:
      f(static_cast<const IncludeStmt&>(stmt).name);
      break;
  }
}

}  // namespace quipu::jinja
