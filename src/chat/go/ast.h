// A parsed template. Nodes never change once they are made, so trees may share them.
//
// Threads: immutable, shared by all executions.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "chat/go/literal.h"

namespace quipu::gotmpl {

enum class NodeKind : uint8_t {
  kText,
  kList,
  kAction,
  kBranch,
  kTemplate,
  kBreak,
  kContinue,
  kPipe,
  kCommand,
  kField,
  kVariable,
  kChain,
  kIdentifier,
  kDot,
  kNil,
  kBool,
  kNumber,
  kString,
};

struct Node {
  const NodeKind kind;
  const uint32_t pos;  // in bytes from the start of the source; where errors point to
};
using NodePtr = std::shared_ptr<const Node>;

struct TextNode : Node {
  std::string text;
};

struct ListNode : Node {
  std::vector<NodePtr> nodes;
};
using ListPtr = std::shared_ptr<const ListNode>;

struct CommandNode : Node {
  std::vector<NodePtr> args;  // the first is the function, the method or the value itself
};

struct PipeNode : Node {
  bool assigns = false;  // to variables that are there, rather than new ones
  std::vector<std::string> variables;
  std::vector<std::shared_ptr<const CommandNode>> commands;
};
using PipePtr = std::shared_ptr<const PipeNode>;

struct ActionNode : Node {
  PipePtr pipe;
};

// if, with and range. Else-ifs (and else-withs) are further arms, so that long chains nest nowhere.
enum class BranchKind : uint8_t { kIf, kWith, kRange };
struct BranchNode : Node {
  struct Arm {
    PipePtr pipe;
    ListPtr list;
  };
  BranchKind branch = BranchKind::kIf;
  std::vector<Arm> arms;
  ListPtr otherwise;  // may be null
};

struct TemplateNode : Node {
  std::string name;
  PipePtr pipe;  // null: no argument
};

struct FieldNode : Node {
  std::vector<std::string> names;  // .A.B
};

struct VariableNode : Node {
  std::vector<std::string> names;  // the variable's, then fields: $x.A.B
};

struct ChainNode : Node {
  NodePtr base;  // a pipeline in parentheses, or a function: (f x).A.B
  std::vector<std::string> names;
};

struct IdentifierNode : Node {
  std::string name;
};

struct BoolNode : Node {
  bool value = false;
};

struct NumberNode : Node {
  Number number;
  std::string text;
};

struct StringNode : Node {
  std::string quoted;
  std::string value;
};

template <class T>
const T& as(const Node& node) {
  return static_cast<const T&>(node);
}

// The source of an expression, or of a call of a template, in its normal form: what errors quote.
std::string source_of(const Node& node);

}  // namespace quipu::gotmpl
