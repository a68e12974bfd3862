// The tree of a template. Nodes belong to their Program and refer to its source; they never change after
// parse(), so renders on several threads may share them. Chains of operators are one node, and every node
// knows its height, so that whoever walks the tree knows beforehand how deep it will get.
//
// Threads: immutable once parsed.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chat/jinja/value.h"

namespace quipu::jinja {

struct Builtin;

// Where a name's value is kept: so many functions outwards, in that slot of the function's frame.
struct Slot {
  uint16_t hops = 0;
  uint32_t index = 0;
};

// What happens to a scope's names when it is entered.
struct Load {
  enum class How : uint8_t { kNothing, kResolve, kAlias, kUndefined } how = How::kNothing;
  Slot slot;
  Slot source;            // of an alias
  std::string_view name;  // to look up in the context
};
struct Scope {
  std::vector<Load> loads;
};

struct Node {
  virtual ~Node() = default;
  int line = 0;
  int height = 1;
};

// ---- expressions

enum class ExprKind : uint8_t {
  kConst,
  kName,
  kNamespaceRef,
  kTuple,
  kList,
  kDict,
  kConditional,
  kAnd,
  kOr,
  kNot,
  kCompare,
  kArithmetic,
  kConcat,
  kNegative,
  kPositive,
  kAttribute,
  kItem,
  kSlice,
  kCall,
  kFilter,
  kTest,
};

struct Expr : Node {
  explicit Expr(ExprKind kind) : kind(kind) {}
  const ExprKind kind;
};

struct ConstExpr : Expr {
  ConstExpr() : Expr(ExprKind::kConst) {}
  uint32_t index = 0;    // into Program::literals
  bool is_data = false;  // text outside of tags
};

struct NameExpr : Expr {
  enum class Use : uint8_t { kLoad, kStore, kParam };
  NameExpr() : Expr(ExprKind::kName) {}
  std::string_view name;
  Use use = Use::kLoad;
  Slot slot;
  bool exported = false;  // a store whose value blocks can see
};

struct NamespaceRefExpr : Expr {
  NamespaceRefExpr() : Expr(ExprKind::kNamespaceRef) {}
  std::string_view name, attribute;
  Slot slot;
};

struct SequenceExpr : Expr {  // tuple, list, `and`, `or`, `~`
  explicit SequenceExpr(ExprKind kind) : Expr(kind) {}
  std::vector<Expr*> items;
  enum class Escape : uint8_t { kNo, kYes, kDynamic } escape = Escape::kNo;  // of `~`
};
using Escape = SequenceExpr::Escape;

struct DictExpr : Expr {
  DictExpr() : Expr(ExprKind::kDict) {}
  std::vector<std::pair<Expr*, Expr*>> items;
};

struct ConditionalExpr : Expr {
  ConditionalExpr() : Expr(ExprKind::kConditional) {}
  Expr* test = nullptr;
  Expr* yes = nullptr;
  Expr* no = nullptr;  // may be null
};

struct UnaryExpr : Expr {  // not, -, +
  explicit UnaryExpr(ExprKind kind) : Expr(kind) {}
  Expr* operand = nullptr;
};

enum class Op : uint8_t {
  kAdd,
  kSub,
  kMul,
  kDiv,
  kFloorDiv,
  kMod,
  kPow,
  kEq,
  kNe,
  kLt,
  kLe,
  kGt,
  kGe,
  kIn,
  kNotIn
};

struct ChainExpr : Expr {  // arithmetic from left to right, comparisons
  explicit ChainExpr(ExprKind kind) : Expr(kind) {}
  Expr* first = nullptr;
  std::vector<std::pair<Op, Expr*>> rest;
};

struct AttributeExpr : Expr {
  AttributeExpr() : Expr(ExprKind::kAttribute) {}
  Expr* object = nullptr;
  std::string_view name;
};

struct ItemExpr : Expr {
  ItemExpr() : Expr(ExprKind::kItem) {}
  Expr* object = nullptr;
  Expr* key = nullptr;
};

struct SliceExpr : Expr {  // only ever the key of an ItemExpr, or within a tuple there
  SliceExpr() : Expr(ExprKind::kSlice) {}
  Expr* start = nullptr;
  Expr* stop = nullptr;
  Expr* step = nullptr;
};

struct Arguments {
  std::vector<Expr*> positional;
  std::vector<std::pair<std::string_view, Expr*>> named;
  Expr* star = nullptr;
  Expr* star_star = nullptr;
};

struct CallExpr : Expr {
  CallExpr() : Expr(ExprKind::kCall) {}
  Expr* callee = nullptr;
  Arguments arguments;
};

struct AppliedExpr : Expr {  // filter, test
  explicit AppliedExpr(ExprKind kind) : Expr(kind) {}
  Expr* operand = nullptr;  // null: the text of the block around it
  std::string name;
  const Builtin* function = nullptr;  // null: there is none of that name
  Arguments arguments;
};

// ---- statements

enum class StmtKind : uint8_t {
  kOutput,
  kIf,
  kFor,
  kMacro,
  kCallBlock,
  kFilterBlock,
  kSet,
  kSetBlock,
  kWith,
  kAutoescape,
  kBlock,
  kBreak,
  kContinue,
  kInclude,
};

struct Stmt : Node {
  explicit Stmt(StmtKind kind) : kind(kind) {}
  const StmtKind kind;
};
using Body = std::vector<Stmt*>;

// What Python would compile to a function: its names live in a frame of their own.
struct Function {
  uint32_t n_slots = 0;
};

struct OutputStmt : Stmt {
  OutputStmt() : Stmt(StmtKind::kOutput) {}
  std::vector<Expr*> parts;
  Escape escape = Escape::kNo;
};

struct IfStmt : Stmt {
  IfStmt() : Stmt(StmtKind::kIf) {}
  struct Branch {
    int line;
    Expr* test;
    Body body;
  };
  std::vector<Branch> branches;
  Body otherwise;
};

struct ForStmt : Stmt {
  ForStmt() : Stmt(StmtKind::kFor) {}
  Expr* target = nullptr;
  Expr* iterable = nullptr;
  Expr* test = nullptr;  // may be null
  Body body, otherwise;
  bool recursive = false;

  bool extended = false;  // the body can see `loop`
  Slot loop_slot;
  Scope body_scope, else_scope, test_scope;
  Expr* test_target = nullptr;  // `target` with the slots of the test's scope
  Function function;            // of a recursive loop
  Escape escape = Escape::kNo;
};

// The common part of macros and call blocks.
struct MacroBody {
  std::vector<NameExpr*> parameters;
  std::vector<Expr*> defaults;  // of the last parameters
  Body body;

  Function function;
  Scope scope;
  bool takes_caller = false, takes_kwargs = false, takes_varargs = false;
  bool explicit_caller = false;  // a parameter has that name
  Slot caller_slot, kwargs_slot, varargs_slot;
};

struct MacroStmt : Stmt {
  MacroStmt() : Stmt(StmtKind::kMacro) {}
  NameExpr* name = nullptr;
  MacroBody macro;
};

struct CallBlockStmt : Stmt {
  CallBlockStmt() : Stmt(StmtKind::kCallBlock) {}
  CallExpr* call = nullptr;  // null: {% generation %}, which calls its body
  MacroBody macro;
};

struct FilterBlockStmt : Stmt {
  FilterBlockStmt() : Stmt(StmtKind::kFilterBlock) {}
  AppliedExpr* filter = nullptr;
  Body body;
  Scope scope;
  Escape escape = Escape::kNo;
};

struct SetStmt : Stmt {
  SetStmt() : Stmt(StmtKind::kSet) {}
  Expr* target = nullptr;
  Expr* value = nullptr;
};

struct SetBlockStmt : Stmt {
  SetBlockStmt() : Stmt(StmtKind::kSetBlock) {}
  Expr* target = nullptr;
  AppliedExpr* filter = nullptr;  // may be null
  Body body;
  Scope scope;
  Escape escape = Escape::kNo;
};

struct WithStmt : Stmt {
  WithStmt() : Stmt(StmtKind::kWith) {}
  std::vector<Expr*> targets, values;
  Body body;
  Scope scope;
};

struct AutoescapeStmt : Stmt {
  AutoescapeStmt() : Stmt(StmtKind::kAutoescape) {}
  Expr* value = nullptr;
  Body body;
  Scope scope;
};

struct BlockStmt : Stmt {
  BlockStmt() : Stmt(StmtKind::kBlock) {}
  std::string_view name;
  bool scoped = false, required = false;
  Body body;

  std::vector<std::pair<std::string_view, Slot>>
      visible;  // names that a scoped block sees beyond the context's
  Function function;
  Scope scope;
  Slot self_slot, super_slot;
  bool uses_self = false, uses_super = false;
};

struct SimpleStmt : Stmt {  // break, continue
  explicit SimpleStmt(StmtKind kind) : Stmt(kind) {}
};

struct IncludeStmt : Stmt {  // include, import, from, extends: there is never anything to load
  IncludeStmt() : Stmt(StmtKind::kInclude) {}
  Expr* name = nullptr;
  bool is_extends = false;
  std::vector<NameExpr*> targets;
};

// ---- the whole

struct Literal {
  enum class Kind : uint8_t { kNone, kBool, kInt, kFloat, kString } kind = Kind::kNone;
  Int integer = 0;
  double number = 0;
  std::string text;
};

struct Program {
  std::string source;  // normalised; names and data refer to it
  std::vector<std::unique_ptr<Node>> nodes;
  std::vector<Literal> literals;
  Body body;
  std::vector<BlockStmt*> blocks;
  Function function;
  Scope scope;
  bool uses_self = false;
  Slot self_slot;
};

}  // namespace quipu::jinja
