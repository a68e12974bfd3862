#include "chat/jinja/tree_checks.h"

#include <set>

#include "chat/jinja/ast_walk.h"

namespace quipu::jinja {

namespace {

class BlockCollector {
 public:
  BlockCollector(Program& program, Budget& budget) : program_(program), budget_(budget) {}

  void visit(const Body& statements) {
    const Nested nested(budget_);
    for (Stmt* s : statements) visit(*s);
  }

 private:
  void visit(Stmt& s) {
    budget_.step();
    if (s.kind == StmtKind::kBlock) {
      auto& block = static_cast<BlockStmt&>(s);
      if (!names_.insert(block.name).second)
        throw Failure{Fault::kSyntax, fmt::format("block '{}' defined twice", block.name), s.line};
      program_.blocks.push_back(&block);
    }
    for_each_child(
        s, [](Expr*) {},
        [&](Stmt* child) {
          const Nested nested(budget_);
          visit(*child);
        });
  }

  Program& program_;
  Budget& budget_;
  std::set<std::string_view> names_;
};

void refuse_loop_as_target(const Expr& e, Budget& budget) {
  budget.step();
  if (e.kind == ExprKind::kName) {
    const auto& name = static_cast<const NameExpr&>(e);
    if (name.use == NameExpr::Use::kStore && name.name == "loop")
      throw Failure{Fault::kSyntax, "Can't assign to special loop variable in for-loop target", e.line};
  }
  if (e.kind == ExprKind::kTuple)
    for_each_child(e, [&](const Expr* child) { refuse_loop_as_target(*child, budget); });
}

}  // namespace

void collect_blocks(Program& program, Budget& budget) { BlockCollector(program, budget).visit(program.body); }

bool has_scoped_block(const Body& statements, Budget& budget) {
  const Nested nested(budget);
  bool found = false;
  for (const Stmt* s : statements) {
    budget.step();
    if (s->kind == StmtKind::kBlock && static_cast<const BlockStmt*>(s)->scoped) return true;
    for_each_child(
        *s, [](Expr*) {}, [&](Stmt* child) { found = found || has_scoped_block({child}, budget); });
    if (found) return true;
  }
  return false;
}

void refuse_setting_loop(const Stmt& s, Budget& budget) {
  budget.step();
  const Nested nested(budget);
  switch (s.kind) {
    case StmtKind::kFor:
      refuse_loop_as_target(*static_cast<const ForStmt&>(s).target, budget);
      break;
    case StmtKind::kSet:
      refuse_loop_as_target(*static_cast<const SetStmt&>(s).target, budget);
      break;
    case StmtKind::kSetBlock:
      refuse_loop_as_target(*static_cast<const SetBlockStmt&>(s).target, budget);
      break;
    default:
      break;
  }
  for_each_child(s, [](Expr*) {}, [&](const Stmt* child) { refuse_setting_loop(*child, budget); });
}

}  // namespace quipu::jinja
