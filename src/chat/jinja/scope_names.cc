#include "chat/jinja/scope_names.h"

#include <algorithm>

#include "chat/jinja/ast_walk.h"

namespace quipu::jinja {

ScopeNames::Name& ScopeNames::define(std::string_view name) {
  const auto [it, fresh] = by_name_.emplace(name, names_.size());
  if (fresh) {
    budget_.hold(sizeof(Name) + sizeof(Load) + 64);
    names_.push_back({name, function_.function->n_slots++, Load::How::kNothing, {}, false});
  }
  return names_[it->second];
}

uint32_t ScopeNames::declare_parameter(std::string_view name) {
  Name& n = define(name);
  n.how = Load::How::kNothing;
  n.stored = true;
  return n.index;
}

ScopeNames::Found ScopeNames::find(std::string_view name) const {
  for (const ScopeNames* s = this; s != nullptr; s = s->outer_) {
    budget_.step();
    if (const auto it = s->by_name_.find(name); it != s->by_name_.end()) return {s, &s->names_[it->second]};
  }
  return {};
}

Slot ScopeNames::slot(std::string_view name, const FunctionContext& user) const {
  const Found found = find(name);
  if (found.name == nullptr) fail(Fault::kSyntax, "the name '{}' is unknown to the scope that uses it", name);
  return {static_cast<uint16_t>(user.depth - found.scope->function_.depth), found.name->index};
}

// The first mention of a name decides what it holds on entry. In one branch of several, a name that is only
// set there keeps its outer value in the others.
void ScopeNames::store(std::string_view name, bool in_branch) {
  const bool known = by_name_.contains(name);
  const Found outer = !known && outer_ != nullptr ? outer_->find(name) : Found{};
  Name& n = define(name);
  n.stored = true;
  if (known) return;
  if (outer.name != nullptr) {
    n.how = Load::How::kAlias;
    n.source = {static_cast<uint16_t>(function_.depth - outer.scope->function_.depth), outer.name->index};
  } else {
    n.how = in_branch ? Load::How::kResolve : Load::How::kUndefined;
  }
}

void ScopeNames::load(std::string_view name) {
  if (find(name).name != nullptr) return;
  define(name).how = Load::How::kResolve;
}

void ScopeNames::declare(const Expr& expr, bool in_branch) {
  budget_.step();
  if (expr.kind == ExprKind::kName) {
    const auto& e = static_cast<const NameExpr&>(expr);
    switch (e.use) {
      case NameExpr::Use::kLoad:
        load(e.name);
        break;
      case NameExpr::Use::kStore:
        store(e.name, in_branch);
        break;
      case NameExpr::Use::kParam:
        declare_parameter(e.name);
        break;
    }
  } else if (expr.kind == ExprKind::kNamespaceRef) {
    load(static_cast<const NamespaceRefExpr&>(expr).name);
  } else {
    for_each_child(expr, [&](const Expr* child) { declare(*child, in_branch); });
  }
}

void ScopeNames::declare_target(const Expr& target) {
  if (target.kind == ExprKind::kName) declare_parameter(static_cast<const NameExpr&>(target).name);
  if (target.kind == ExprKind::kTuple)
    for (const Expr* item : static_cast<const SequenceExpr&>(target).items) declare_target(*item);
}

void ScopeNames::declare(const Body& body, bool in_branch) {
  const Nested nested(budget_);
  for (const Stmt* s : body) declare(*s, in_branch);
}

// Stops at statements that open scopes of their own; those are declared when they are bound.
void ScopeNames::declare(const Stmt& stmt, bool in_branch) {
  budget_.step();
  switch (stmt.kind) {
    case StmtKind::kIf: {
      const auto& s = static_cast<const IfStmt&>(stmt);
      for (size_t i = 0; i < s.branches.size(); ++i) {
        declare(*s.branches[i].test, in_branch || i > 0);
        declare(s.branches[i].body, true);
      }
      declare(s.otherwise, true);
      break;
    }
    case StmtKind::kFor:
      declare(*static_cast<const ForStmt&>(stmt).iterable, in_branch);
      break;
    case StmtKind::kMacro:
      store(static_cast<const MacroStmt&>(stmt).name->name, in_branch);
      break;
    case StmtKind::kCallBlock: {
      const auto& s = static_cast<const CallBlockStmt&>(stmt);
      if (s.call != nullptr) declare(*s.call, in_branch);
      break;
    }
    case StmtKind::kFilterBlock:
      declare(*static_cast<const FilterBlockStmt&>(stmt).filter, in_branch);
      break;
    case StmtKind::kSet: {
      const auto& s = static_cast<const SetStmt&>(stmt);
      declare(*s.value, in_branch);
      declare(*s.target, in_branch);
      break;
    }
    case StmtKind::kSetBlock:
      declare(*static_cast<const SetBlockStmt&>(stmt).target, in_branch);
      break;
    case StmtKind::kWith:
      for (const Expr* e : static_cast<const WithStmt&>(stmt).values) declare(*e, in_branch);
      break;
    case StmtKind::kAutoescape:
    case StmtKind::kBlock:
      break;
    case StmtKind::kInclude: {
      const auto& s = static_cast<const IncludeStmt&>(stmt);
      declare(*s.name, in_branch);
      for (const NameExpr* t : s.targets) store(t->name, in_branch);
      break;
    }
    case StmtKind::kOutput:
    case StmtKind::kBreak:
    case StmtKind::kContinue:
      for_each_child(stmt, [&](const Expr* e) { declare(*e, in_branch); }, [](const Stmt*) {});
      break;
  }
}

void ScopeNames::fill(Scope& scope) const {
  scope.loads.clear();
  for (const Name& n : names_) scope.loads.push_back({n.how, {0, n.index}, n.source, n.name});
}

namespace {

class UndeclaredFinder {
 public:
  UndeclaredFinder(std::initializer_list<std::string_view> names, Budget& budget)
      : names_(names), budget_(budget) {}

  void visit(const Expr& expr) {
    budget_.step();
    if (expr.kind != ExprKind::kName) return for_each_child(expr, [&](const Expr* e) { visit(*e); });
    const auto& name = static_cast<const NameExpr&>(expr);
    const auto it = std::find(names_.begin(), names_.end(), name.name);
    if (it == names_.end()) return;
    if (name.use == NameExpr::Use::kLoad)
      found |= 1u << (it - names_.begin());
    else
      *it = {};  // declared: what follows is about that one
  }

  void visit(const Body& body) {
    const Nested nested(budget_);
    for (const Stmt* s : body) visit(*s);
  }

  void visit(const Stmt& stmt) {
    budget_.step();
    if (stmt.kind == StmtKind::kBlock) return;
    for_each_child(
        stmt, [&](const Expr* e) { visit(*e); },
        [&](const Stmt* s) {
          const Nested nested(budget_);
          visit(*s);
        });
  }

  unsigned found = 0;

 private:
  std::vector<std::string_view> names_;
  Budget& budget_;
};

}  // namespace

unsigned find_undeclared(const Body& body, std::initializer_list<std::string_view> names, Budget& budget) {
  UndeclaredFinder finder(names, budget);
  finder.visit(body);
  return finder.found;
}

}  // namespace quipu::jinja
