#include "chat/jinja/binder.h"

#include <algorithm>
#include <set>

#include "chat/jinja/ast_walk.h"
#include "chat/jinja/scope_names.h"
#include "chat/jinja/tree_checks.h"

namespace quipu::jinja {

namespace {

// Where a statement stands.
struct Place {
  ScopeNames& names;
  FunctionContext& function;
  bool toplevel = false;  // not within a scope, but maybe within an `if`
  bool soft = false;      // within an `if`: an unknown filter is an error only when it is used
  bool in_loop = false;   // `break` has something to leave
  Escape escape = Escape::kNo;
};

class Binder {
 public:
  Binder(Program& program, Budget& budget) : program_(program), budget_(budget) {}

  void bind();

 private:
  // Visits the expression's names with the scope of `place`.
  void expr(Expr& e, const Place& place);
  void target(Expr& e, const Place& place);
  void applied(AppliedExpr& e, const Place& place);
  void body(const Body& statements, const Place& place);
  void stmt(Stmt& s, const Place& place);

  void if_stmt(IfStmt& s, const Place& place);
  void for_stmt(ForStmt& s, const Place& place);
  void macro(MacroBody& m, int line, const Place& place);
  void autoescape(AutoescapeStmt& s, const Place& place);
  void block_stmt(BlockStmt& s, const Place& place);
  void block_body(BlockStmt& s);

  // A scope within the same function.
  Place inside(const Place& place, ScopeNames& names) const {
    return {.names = names, .function = names.function(), .in_loop = place.in_loop, .escape = place.escape};
  }
  Expr* clone_target(const Expr& e);

  Program& program_;
  Budget& budget_;
};

void Binder::bind() {
  collect_blocks(program_, budget_);
  FunctionContext root{&program_.function, nullptr, 0};
  ScopeNames names(nullptr, root, budget_);
  if (find_undeclared(program_.body, {"self"}, budget_) != 0) {
    program_.uses_self = true;
    names.declare_parameter("self");
    program_.self_slot = names.own_slot("self");
  }
  names.declare(program_.body);
  names.fill(program_.scope);
  body(program_.body, {.names = names, .function = root, .toplevel = true});
  for (BlockStmt* block : program_.blocks) block_body(*block);
}

// ---- expressions

void Binder::applied(AppliedExpr& e, const Place& place) {
  if (e.function == nullptr && !place.soft)
    throw Failure{Fault::kSyntax,
                  fmt::format("No {} named '{}'.", e.kind == ExprKind::kFilter ? "filter" : "test", e.name),
                  e.line};
  for_each_child(e, [&](Expr* child) { expr(*child, place); });
}

void Binder::expr(Expr& e, const Place& place) {
  budget_.step();
  switch (e.kind) {
    case ExprKind::kName: {
      auto& name = static_cast<NameExpr&>(e);
      name.slot = place.names.slot(name.name, place.function);
      break;
    }
    case ExprKind::kFilter:
    case ExprKind::kTest:
      applied(static_cast<AppliedExpr&>(e), place);
      break;
    case ExprKind::kConditional: {
      Place soft = place;
      soft.soft = true;
      for_each_child(e, [&](Expr* child) { expr(*child, soft); });
      break;
    }
    case ExprKind::kConcat:
      static_cast<SequenceExpr&>(e).escape = place.escape;
      [[fallthrough]];
    default:
      for_each_child(e, [&](Expr* child) { expr(*child, place); });
  }
}

void Binder::target(Expr& e, const Place& place) {
  budget_.step();
  if (e.kind == ExprKind::kName) {
    auto& name = static_cast<NameExpr&>(e);
    name.slot = place.names.slot(name.name, place.function);
    name.exported = place.toplevel;
  } else if (e.kind == ExprKind::kNamespaceRef) {
    auto& ref = static_cast<NamespaceRefExpr&>(e);
    ref.slot = place.names.slot(ref.name, place.function);
  } else {
    for_each_child(e, [&](Expr* child) { target(*child, place); });
  }
}

Expr* Binder::clone_target(const Expr& e) {
  budget_.hold(sizeof(NameExpr) + sizeof(SequenceExpr));
  if (e.kind == ExprKind::kName) {
    const auto& from = static_cast<const NameExpr&>(e);
    auto name = std::make_unique<NameExpr>();
    name->line = from.line;
    name->name = from.name;
    name->use = from.use;
    program_.nodes.push_back(std::move(name));
  } else {
    auto tuple = std::make_unique<SequenceExpr>(ExprKind::kTuple);
    tuple->line = e.line;
    tuple->height = e.height;
    for (const Expr* item : static_cast<const SequenceExpr&>(e).items)
      tuple->items.push_back(clone_target(*item));
    program_.nodes.push_back(std::move(tuple));
  }
  return static_cast<Expr*>(program_.nodes.back().get());
}

// ---- statements

void Binder::body(const Body& statements, const Place& place) {
  const Nested nested(budget_);
  for (Stmt* s : statements) stmt(*s, place);
}

void Binder::stmt(Stmt& s, const Place& place) {
  budget_.step();
  switch (s.kind) {
    case StmtKind::kOutput: {
      auto& out = static_cast<OutputStmt&>(s);
      out.escape = place.escape;
      for (Expr* e : out.parts) expr(*e, place);
      break;
    }
    case StmtKind::kIf:
      if_stmt(static_cast<IfStmt&>(s), place);
      break;
    case StmtKind::kFor:
      for_stmt(static_cast<ForStmt&>(s), place);
      break;
    case StmtKind::kMacro: {
      auto& m = static_cast<MacroStmt&>(s);
      macro(m.macro, s.line, place);
      target(*m.name, place);
      break;
    }
    case StmtKind::kCallBlock: {
      auto& c = static_cast<CallBlockStmt&>(s);
      macro(c.macro, s.line, place);
      if (c.call != nullptr) expr(*c.call, place);
      break;
    }
    case StmtKind::kFilterBlock: {
      auto& f = static_cast<FilterBlockStmt&>(s);
      f.escape = place.escape;
      ScopeNames names(&place.names, place.function, budget_);
      names.declare(f.body);
      names.declare(*f.filter, false);
      names.fill(f.scope);
      body(f.body, inside(place, names));
      applied(*f.filter, inside(place, names));
      break;
    }
    case StmtKind::kSet: {
      auto& set = static_cast<SetStmt&>(s);
      target(*set.target, place);
      expr(*set.value, place);
      break;
    }
    case StmtKind::kSetBlock: {
      auto& set = static_cast<SetBlockStmt&>(s);
      set.escape = place.escape;
      ScopeNames names(&place.names, place.function, budget_);
      names.declare(set.body);
      names.fill(set.scope);
      body(set.body, inside(place, names));
      target(*set.target, place);
      if (set.filter != nullptr) applied(*set.filter, inside(place, names));
      break;
    }
    case StmtKind::kWith: {
      auto& with = static_cast<WithStmt&>(s);
      ScopeNames names(&place.names, place.function, budget_);
      for (const Expr* t : with.targets) names.declare(*t, false);
      names.declare(with.body);
      names.fill(with.scope);
      for (size_t i = 0; i < with.targets.size(); ++i) {
        target(*with.targets[i], inside(place, names));
        expr(*with.values[i], place);
      }
      body(with.body, inside(place, names));
      break;
    }
    case StmtKind::kAutoescape:
      autoescape(static_cast<AutoescapeStmt&>(s), place);
      break;
    case StmtKind::kBlock:
      block_stmt(static_cast<BlockStmt&>(s), place);
      break;
    case StmtKind::kBreak:
    case StmtKind::kContinue:
      if (!place.in_loop)
        throw Failure{Fault::kSyntax,
                      s.kind == StmtKind::kBreak ? "'break' outside loop" : "'continue' not properly in loop",
                      s.line};
      break;
    case StmtKind::kInclude: {
      auto& include = static_cast<IncludeStmt&>(s);
      if (include.is_extends && !place.toplevel)
        throw Failure{Fault::kSyntax, "cannot use extend from a non top-level scope", s.line};
      expr(*include.name, place);
      break;
    }
  }
}

void Binder::if_stmt(IfStmt& s, const Place& place) {
  Place soft = place;
  soft.soft = true;
  for (IfStmt::Branch& b : s.branches) {
    expr(*b.test, soft);
    body(b.body, soft);
  }
  body(s.otherwise, soft);
}

void Binder::for_stmt(ForStmt& s, const Place& place) {
  s.escape = place.escape;
  s.extended = s.recursive || find_undeclared(s.body, {"loop"}, budget_) != 0 ||
               has_scoped_block(s.body, budget_) || has_scoped_block(s.otherwise, budget_);
  refuse_setting_loop(s, budget_);

  FunctionContext own{&s.function, &place.function, place.function.depth + 1};
  FunctionContext& function = s.recursive ? own : place.function;

  ScopeNames names(&place.names, function, budget_);
  if (s.extended) {
    names.declare_parameter("loop");
    s.loop_slot = names.own_slot("loop");
  }
  names.declare_target(*s.target);
  names.declare(s.body);
  names.fill(s.body_scope);

  ScopeNames else_names(&place.names, function, budget_);
  else_names.declare(s.otherwise);
  else_names.fill(s.else_scope);

  if (s.test != nullptr) {
    ScopeNames test_names(&place.names, function, budget_);
    test_names.declare_target(*s.target);
    test_names.declare(*s.test, false);
    test_names.fill(s.test_scope);
    s.test_target = clone_target(*s.target);
    const Place inner = inside(place, test_names);
    target(*s.test_target, inner);
    expr(*s.test, inner);
  }

  expr(*s.iterable, place);
  Place inner = inside(place, names);
  inner.in_loop = true;
  target(*s.target, inner);
  body(s.body, inner);
  Place other = inside(place, else_names);
  other.in_loop = place.in_loop && !s.recursive;
  body(s.otherwise, other);
}

void Binder::macro(MacroBody& m, int line, const Place& place) {
  FunctionContext own{&m.function, &place.function, place.function.depth + 1};
  if (own.depth > UINT16_MAX) fail(Fault::kLimit, "the template nests too deeply");
  ScopeNames names(&place.names, own, budget_);
  for (const NameExpr* p : m.parameters) names.declare_parameter(p->name);
  for (const Expr* e : m.defaults) names.declare(*e, false);
  names.declare(m.body);

  const auto has_parameter = [&](std::string_view name) {
    return std::any_of(m.parameters.begin(), m.parameters.end(),
                       [&](const NameExpr* p) { return p->name == name; });
  };
  const unsigned undeclared = find_undeclared(m.body, {"caller", "kwargs", "varargs"}, budget_);
  m.explicit_caller = has_parameter("caller");
  if ((undeclared & 1) != 0) {
    if (m.explicit_caller) {
      const auto at = std::find_if(m.parameters.begin(), m.parameters.end(),
                                   [](const NameExpr* p) { return p->name == "caller"; });
      if (static_cast<size_t>(m.parameters.end() - at) > m.defaults.size())
        throw Failure{
            Fault::kSyntax,
            "When defining macros or call blocks the special \"caller\" argument must be omitted or be given"
            " a default.",
            line};
    } else {
      names.declare_parameter("caller");
      m.caller_slot = names.own_slot("caller");
    }
    m.takes_caller = true;
  }
  if ((undeclared & 2) != 0 && !has_parameter("kwargs")) {
    m.takes_kwargs = true;
    names.declare_parameter("kwargs");
    m.kwargs_slot = names.own_slot("kwargs");
  }
  if ((undeclared & 4) != 0 && !has_parameter("varargs")) {
    m.takes_varargs = true;
    names.declare_parameter("varargs");
    m.varargs_slot = names.own_slot("varargs");
  }
  names.fill(m.scope);

  const Place inner{.names = names, .function = own, .escape = place.escape};
  for (NameExpr* p : m.parameters) target(*p, inner);
  for (Expr* e : m.defaults) expr(*e, inner);
  body(m.body, inner);
}

void Binder::autoescape(AutoescapeStmt& s, const Place& place) {
  ScopeNames names(&place.names, place.function, budget_);
  names.declare(*s.value, false);
  names.declare(s.body);
  names.fill(s.scope);
  Place inner = inside(place, names);
  expr(*s.value, inner);
  // Escaping is the text's own affair, not that of who calls a macro: so it is known here, unless it is
  // computed.
  if (place.escape == Escape::kDynamic || s.value->kind != ExprKind::kConst) {
    inner.escape = Escape::kDynamic;
  } else {
    const Literal& value = program_.literals[static_cast<const ConstExpr&>(*s.value).index];
    const bool yes = value.integer != 0 || value.number != 0 || !value.text.empty();
    inner.escape = yes ? Escape::kYes : Escape::kNo;
  }
  body(s.body, inner);
}

// ---- blocks: functions of their own, which see the context but not the scope that they stand in

void Binder::block_stmt(BlockStmt& s, const Place& place) {
  s.visible.clear();
  if (!s.scoped) return;
  std::set<std::string_view> seen;
  for (const ScopeNames* scope = &place.names; scope != nullptr; scope = scope->outer()) {
    for (const ScopeNames::Name& n : scope->names()) {
      budget_.step();
      if (!n.stored || !seen.insert(n.name).second) continue;
      budget_.hold(sizeof(s.visible[0]));
      s.visible.emplace_back(n.name, place.names.slot(n.name, place.function));
    }
  }
}

void Binder::block_body(BlockStmt& s) {
  FunctionContext own{&s.function, nullptr, 0};
  ScopeNames names(nullptr, own, budget_);
  const unsigned undeclared = find_undeclared(s.body, {"self", "super"}, budget_);
  if ((undeclared & 1) != 0) {
    s.uses_self = true;
    names.declare_parameter("self");
    s.self_slot = names.own_slot("self");
  }
  if ((undeclared & 2) != 0) {
    s.uses_super = true;
    names.declare_parameter("super");
    s.super_slot = names.own_slot("super");
  }
  names.declare(s.body);
  names.fill(s.scope);
  body(s.body, {.names = names, .function = own});
}

}  // namespace

void bind_program(Program& program, Budget& budget) { Binder(program, budget).bind(); }

}  // namespace quipu::jinja
