// From a template's source to its tree, by Jinja's grammar. The tree's names are bound in a second pass
// (binder.h).
//
// Threads: pure functions.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "chat/jinja/ast.h"
#include "chat/jinja/ast_walk.h"
#include "chat/jinja/budget.h"
#include "chat/jinja/lexer.h"

namespace quipu::jinja {

// Throws Failure. Nothing of the tree refers to `source`.
std::unique_ptr<Program> parse_program(std::string_view source, Budget& budget);

class Parser {
 public:
  Parser(Program& program, Budget& budget);
  void parse();

 private:
  using Names = std::initializer_list<std::string_view>;

  // tokens and bodies: parser.cc
  const Token& current() const { return current_; }
  const Token& look();
  Token advance();
  bool skip_if(Tok type);
  bool skip_if_name(std::string_view name);
  Token expect(Tok type);
  Token expect_name(std::string_view name);
  bool at_one_of(const Names& names) const;
  [[noreturn]] void fail_at(int line, std::string message) const;
  [[noreturn]] void fail_tag(std::string_view name, int line) const;
  [[noreturn]] void fail_expected(std::string_view expected) const;

  // statements: parser_statements.cc
  Body parse_body(const Names& end);
  Body parse_block_body(const Names& end, bool drop_end);
  Stmt* parse_statement();
  Stmt* parse_tag(std::string_view tag);
  Stmt* parse_set();
  Stmt* parse_for();
  Stmt* parse_if();
  Stmt* parse_with();
  Stmt* parse_autoescape();
  Stmt* parse_block();
  Stmt* parse_include(std::string_view tag);
  Stmt* parse_macro();
  Stmt* parse_call_block();
  Stmt* parse_generation();
  Stmt* parse_filter_block();
  Stmt* parse_print();
  void parse_import_context();
  void parse_import_names(IncludeStmt& include);
  void parse_signature(MacroBody& macro);
  Expr* parse_target(bool with_namespace);
  NameExpr* parse_target_name();
  void check_target(const Expr& target) const;

  // expressions: parser_expressions.cc
  Expr* parse_expression(bool with_conditional = true);
  Expr* parse_conditional();
  Expr* parse_logic(ExprKind kind);
  Expr* parse_not();
  Expr* parse_compare();
  Expr* parse_sum();
  Expr* parse_concat();
  Expr* parse_product();
  Expr* parse_power();
  Expr* parse_unary(bool with_filter);
  Expr* parse_primary(bool with_namespace);
  Expr* parse_name(bool with_namespace);
  Expr* parse_tuple(bool simplified, bool with_conditional, bool parentheses, bool with_namespace);
  Expr* parse_list();
  Expr* parse_dict();
  Expr* parse_postfix(Expr* node);
  Expr* parse_filter_chain(Expr* node);
  Expr* parse_subscript(Expr* node);
  Expr* parse_subscript_key();
  CallExpr* parse_call(Expr* callee);
  void parse_arguments(Arguments& arguments);
  Expr* parse_filter(Expr* node, bool start_inline);
  Expr* parse_test(Expr* node);
  std::string parse_dotted_name();

  // nodes
  template <class T, class... A>
  T* make(int line, A... args);
  template <class T>
  T* finish(T* node);  // counts its height; its children have to be there
  Expr* make_literal(int line, Literal literal);

  Program& program_;
  Budget& budget_;
  Lexer lexer_;
  Token current_, ahead_;
  bool has_ahead_ = false;
  std::vector<std::string_view> open_tags_;
  std::vector<std::vector<std::string_view>> end_tags_;
};

// ---- templates

template <class T, class... A>
T* Parser::make(int line, A... args) {
  budget_.step();
  budget_.hold(sizeof(T) + sizeof(void*));
  auto node = std::make_unique<T>(args...);
  node->line = line;
  T* raw = node.get();
  program_.nodes.push_back(std::move(node));
  return raw;
}

template <class T>
T* Parser::finish(T* node) {
  int height = 0;
  for_each_child(*node, [&](const Expr* child) { height = std::max(height, child->height); });
  node->height = height + 1;
  if (node->height > budget_.limits().max_depth) fail(Fault::kLimit, "the template nests too deeply");
  return node;
}

}  // namespace quipu::jinja
