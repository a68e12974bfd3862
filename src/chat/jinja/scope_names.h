// The names of one scope while a template is bound: which slot each has, and what fills it when the scope is
// entered.
//
// Threads: one bind, on one thread.
#pragma once

#include <map>
#include <string_view>
#include <vector>

#include "chat/jinja/ast.h"
#include "chat/jinja/budget.h"

namespace quipu::jinja {

// The function that code is in, and those around it.
struct FunctionContext {
  Function* function;
  FunctionContext* outer;
  int depth;
};

class ScopeNames {
 public:
  struct Name {
    std::string_view name;
    uint32_t index = 0;
    Load::How how = Load::How::kNothing;
    Slot source;
    bool stored = false;
  };
  struct Found {
    const ScopeNames* scope = nullptr;
    const Name* name = nullptr;
  };

  ScopeNames(ScopeNames* outer, FunctionContext& function, Budget& budget)
      : outer_(outer), function_(function), budget_(budget) {}

  // Parameters are filled by whoever enters the scope.
  uint32_t declare_parameter(std::string_view name);
  void store(std::string_view name, bool in_branch);
  void load(std::string_view name);

  Found find(std::string_view name) const;
  // From code in `user`; fails for a name that was not declared.
  Slot slot(std::string_view name, const FunctionContext& user) const;
  Slot own_slot(std::string_view name) const { return slot(name, function_); }

  // Declares what the children of a node say about this scope's names.
  void declare(const Expr& expr, bool in_branch);
  void declare(const Stmt& stmt, bool in_branch);
  void declare(const Body& body, bool in_branch = false);
  void declare_target(const Expr& target);  // its names become parameters

  void fill(Scope& scope) const;
  const std::vector<Name>& names() const { return names_; }
  const ScopeNames* outer() const { return outer_; }
  FunctionContext& function() const { return function_; }

 private:
  Name& define(std::string_view name);

  ScopeNames* const outer_;
  FunctionContext& function_;
  Budget& budget_;
  std::vector<Name> names_;
  std::map<std::string_view, size_t> by_name_;
};

// Which of up to 8 names the statements read without having set them before, as bits.
unsigned find_undeclared(const Body& body, std::initializer_list<std::string_view> names, Budget& budget);

}  // namespace quipu::jinja
