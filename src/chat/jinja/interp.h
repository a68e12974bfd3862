// The interpreter: one render of a bound template.
//
// Threads: one Interp belongs to one render, on one thread.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "chat/jinja/ast.h"
#include "chat/jinja/builtins.h"
#include "chat/jinja/objects.h"
#include "chat/jinja/text.h"

namespace quipu::jinja {

class Interp {
 public:
  Interp(const Program& program, Budget& budget, int64_t now_unix);

  std::string run(const nlohmann::ordered_json& context);
  int line() const { return line_; }  // of the statement that is running

  Heap& heap() { return heap_; }
  Budget& budget() { return budget_; }
  int64_t now_unix() const { return now_unix_; }
  bool autoescape() const { return autoescape_; }

  // ---- calling: call.cc
  Value call(const Value& callee, Args args);
  Value call_builtin(const Builtin& builtin, Args args);
  Value call_macro(std::string_view name, const MacroBody& macro, const Ref<Frame>& outer, Args args);
  Value call_block(const BlockStmt& block, const Ref<Context>& context);
  Value run_recursive_loop(const ForStmt& loop, const Ref<Frame>& outer, const Value& iterable, Int depth0);
  const Program& program() const { return program_; }

 private:
  friend class FilteredIterator;
  enum class Flow : uint8_t { kNext, kBreak, kContinue };

  // Directs what is printed to a text of its own, as long as it lives.
  class Capture;  // running.h
  // One expression or statement deeper: what a frame on the native stack may need is reserved by the budget.
  class Running;

  // ---- expressions: eval.cc
  Value eval(const Expr& e);
  Value eval_name(const NameExpr& e);
  Value eval_const(const ConstExpr& e);
  Value eval_sequence(const SequenceExpr& e);
  Value eval_dict(const DictExpr& e);
  Value eval_conditional(const ConditionalExpr& e);
  Value eval_logic(const SequenceExpr& e);
  Value eval_compare(const ChainExpr& e);
  Value eval_arithmetic(const ChainExpr& e);
  Value eval_concat(const SequenceExpr& e);
  Value eval_unary(const UnaryExpr& e);
  Value eval_attribute(const AttributeExpr& e);
  Value eval_item(const ItemExpr& e);
  Value eval_call(const CallExpr& e);
  Value eval_applied(const AppliedExpr& e, const Value* block_text);
  void eval_arguments(const Arguments& a, Args& out);
  void add_star(const Value& value, Args& out);
  void add_star_star(const Value& value, Args& out);

  // ---- statements: exec.cc
  Flow exec_body(const Body& body);
  Flow exec(const Stmt& s);
  void exec_output(const OutputStmt& s);
  Flow exec_if(const IfStmt& s);
  void exec_set(const SetStmt& s);
  Flow exec_set_block(const SetBlockStmt& s);
  Flow exec_filter_block(const FilterBlockStmt& s);
  Flow exec_with(const WithStmt& s);
  Flow exec_autoescape(const AutoescapeStmt& s);
  void exec_macro(const MacroStmt& s);
  void exec_call_block(const CallBlockStmt& s);
  void exec_block(const BlockStmt& s);
  [[noreturn]] void exec_include(const IncludeStmt& s);
  Flow exec_for(const ForStmt& s);
  Flow run_loop(const ForStmt& s, const Value& iterable, Int depth0, const Ref<Frame>& outer);
  void assign(const Expr& target, const Value& value);
  void check_namespaces(const Expr& target);
  void enter(const Scope& scope);
  void leave(const Scope& scope);
  Value captured(std::string text, Escape escape);
  void print(const Value& value, Escape escape);
  void print_text(const Value& value);  // what has to be text already
  Value find_name(std::string_view name);

  const Program& program_;
  Budget& budget_;
  Heap heap_;
  const int64_t now_unix_;
  bool autoescape_ = false;
  int line_ = 0;
  std::vector<Value> literals_;  // made when first used
  Ref<Frame> frame_;
  TextBuilder* out_ = nullptr;
};

// ---- attributes and items: access.cc

// What Jinja makes of value.name and value[key]: undefined, if there is no such thing.
Value get_attribute(Interp& interp, const Value& object, std::string_view name);
Value get_item(Interp& interp, const Value& object, const Value& key);
Value get_slice(Interp& interp, const Value& object, const Value& start, const Value& stop,
                const Value& step);
// Python's getattr alone: missing, if there is none. What the sandbox forbids is undefined.
Value find_attribute(Interp& interp, const Value& object, std::string_view name);
// Where a slice of `length` items begins and ends, and how many it takes.
struct SliceSpan {
  Int start, stop, step, count;
};
SliceSpan slice_span(Int length, const Value& start, const Value& stop, const Value& step);

}  // namespace quipu::jinja
