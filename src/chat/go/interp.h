// Executes a parsed template.
//
// Threads: one Interp belongs to one execution, on one thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "chat/go/ast.h"
#include "chat/go/budget.h"
#include "chat/go/functions.h"
#include "chat/go/parser.h"
#include "chat/go/value.h"

namespace quipu::gotmpl {

class Interp {
 public:
  // `source`: what the nodes' positions count in. All of them outlive the Interp.
  Interp(std::string_view source, const Definitions& definitions, Budget& budget, int64_t now_unix,
         std::string& out)
      : source_(source), definitions_(definitions), budget_(budget), now_unix_(now_unix), out_(out) {}

  // Throws Failure.
  void run(const ListNode& root, const Value& data);

 private:
  // How a list of nodes ended.
  enum class Flow : uint8_t { kOn, kBreak, kContinue };
  struct Variable {
    std::string_view name;
    Value value;
  };
  // What else a command is given: the nodes behind its first word, and the value of the command before it.
  struct Arguments {
    const std::vector<NodePtr>* nodes = nullptr;  // the first is the command's own word
    const Value* piped = nullptr;                 // null: none

    size_t n_nodes() const { return nodes == nullptr ? 0 : nodes->size() - 1; }
    bool none() const { return n_nodes() == 0 && piped == nullptr; }
  };

  template <class... A>
  [[noreturn]] void error(fmt::format_string<A...> format, A&&... args) const {
    error_at(fmt::format(format, std::forward<A>(args)...));
  }
  [[noreturn]] void error_at(const std::string& message) const;
  void at(const Node& node) { node_ = &node; }

  // --- text, actions, branches ---
  Flow walk(const Value& dot, const ListNode& list);
  Flow walk_node(const Value& dot, const Node& node);
  Flow walk_condition(const Value& dot, const BranchNode& branch);
  Flow walk_range(const Value& dot, const BranchNode& branch);
  void walk_template(const Value& dot, const TemplateNode& call);
  bool iterate(const PipeNode& pipe, const ListNode& body, const Value& key, const Value& element);
  void print(const Value& value);

  // --- expressions ---
  Value pipeline(const Value& dot, const PipeNode& pipe);
  Value command(const Value& dot, const CommandNode& command, const Value* piped);
  Value field_node(const Value& dot, const FieldNode& node, const Arguments& arguments);
  Value variable_node(const VariableNode& node, const Arguments& arguments);
  Value chain_node(const Value& dot, const ChainNode& node, const Arguments& arguments);
  Value fields(Value receiver, const std::vector<std::string>& names, size_t first,
               const Arguments& arguments);
  Value field(const Value& receiver, std::string_view name, bool has_arguments);
  Value constant(const NumberNode& node);
  void not_a_function(const Node& first_word, const Arguments& arguments);

  // --- calls ---
  Value function(const Value& dot, const IdentifierNode& name, const Node& whole, const Arguments& arguments);
  Value and_or(const Value& dot, bool is_or, const Arguments& arguments);
  Value argument(const Value& dot, Param param, const Node& node);
  Value checked(Value value, Param param);
  Value value_of(const Value& dot, const Node& node);

  // --- variables ---
  Variable& variable(std::string_view name);

  const std::string_view source_;
  const Definitions& definitions_;
  Budget& budget_;
  const int64_t now_unix_;
  std::string& out_;

  std::string_view name_;  // of the template that runs
  const Node* node_ = nullptr;
  std::vector<Variable> variables_;
  size_t first_variable_ = 0;  // those before it belong to callers
};

}  // namespace quipu::gotmpl
