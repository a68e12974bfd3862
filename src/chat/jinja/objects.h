// The objects of the running interpreter: frames and the context, what can be called, what can be iterated.
//
// Threads: as the values.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chat/jinja/ast.h"
#include "chat/jinja/value.h"

namespace quipu::jinja {

class Interp;

struct Args {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;

  Value take(std::string_view name);  // out of `named`; missing, if it is not there
};

// The names that a template finds where it has not set them itself. A scoped block gets a context of its own.
struct Context final : Object {
  Context(Heap& heap, Ref<Context> outer, Value given, Value vars)
      : Object(heap), outer(std::move(outer)), given(std::move(given)), vars(std::move(vars)) {}
  void clear() noexcept override {
    outer = {};
    given = vars = Value();
  }
  // A missing value if there is no such name.
  Value find(std::string_view name) const;

  Ref<Context> outer;
  Value given;  // a dict
  Value vars;   // a dict: what the template has set at its top level
};

// The variables of one call of a function (the template itself, a block, a macro, a recursive loop).
struct Frame final : Object {
  Frame(Heap& heap, uint32_t n_slots, Ref<Frame> outer, Ref<Context> context);
  void clear() noexcept override {
    slots.clear();
    slots.shrink_to_fit();
    outer = {};
    context = {};
  }
  Value& at(const Slot& slot);

  std::vector<Value> slots;
  Ref<Frame> outer;
  Ref<Context> context;
};

// Yields values one by one; what they need is computed when they are asked for.
class Iterator : public Object {
 public:
  using Object::Object;
  virtual bool next(Value& out) = 0;
  virtual std::string_view type_name() const { return "generator"; }
};

class Callable : public Object {
 public:
  using Object::Object;
  virtual Value call(Interp& interp, Args args) = 0;
  virtual Value attribute(std::string_view name) const;  // missing, if there is none
  virtual std::string_view type_name() const { return "function"; }
  virtual std::string repr() const = 0;
};

// A function of ours.
class BuiltinFunction final : public Callable {
 public:
  BuiltinFunction(Heap& heap, const Builtin& builtin) : Callable(heap), builtin_(builtin) {}
  Value call(Interp& interp, Args args) override;
  std::string_view type_name() const override;
  std::string repr() const override;

 private:
  const Builtin& builtin_;
};

class BoundMethod final : public Callable {
 public:
  BoundMethod(Heap& heap, Value self, const Builtin& method)
      : Callable(heap), self_(std::move(self)), method_(method) {}
  void clear() noexcept override { self_ = Value(); }
  Value call(Interp& interp, Args args) override;
  std::string_view type_name() const override { return "builtin_function_or_method"; }
  std::string repr() const override;
  bool same_as(const BoundMethod& other) const;

 private:
  Value self_;
  const Builtin& method_;
};

class Macro final : public Callable {
 public:
  Macro(Heap& heap, std::string_view name, const MacroBody& body, Ref<Frame> outer)
      : Callable(heap), name_(name), body_(body), outer_(std::move(outer)) {}
  void clear() noexcept override { outer_ = {}; }
  Value call(Interp& interp, Args args) override;
  Value attribute(std::string_view name) const override;
  std::string_view type_name() const override { return "Macro"; }
  std::string repr() const override;

 private:
  const std::string_view name_;  // empty: the body of a call block
  const MacroBody& body_;
  Ref<Frame> outer_;
};

class BlockReference final : public Callable {
 public:
  BlockReference(Heap& heap, const BlockStmt& block, Ref<Context> context)
      : Callable(heap), block_(block), context_(std::move(context)) {}
  void clear() noexcept override { context_ = {}; }
  Value call(Interp& interp, Args args) override;
  Value attribute(std::string_view name) const override;
  std::string_view type_name() const override { return "BlockReference"; }
  std::string repr() const override { return "<BlockReference>"; }

 private:
  const BlockStmt& block_;
  Ref<Context> context_;
};

class Joiner final : public Callable {
 public:
  Joiner(Heap& heap, Value separator) : Callable(heap), separator_(std::move(separator)) {}
  void clear() noexcept override { separator_ = Value(); }
  Value call(Interp& interp, Args args) override;
  Value attribute(std::string_view name) const override;
  std::string_view type_name() const override { return "Joiner"; }
  std::string repr() const override { return "<Joiner>"; }

 private:
  Value separator_;
  bool used_ = false;
};

// `self`: the blocks of the template by name.
struct SelfReference final : Object {
  SelfReference(Heap& heap, Ref<Context> context) : Object(heap), context(std::move(context)) {}
  void clear() noexcept override { context = {}; }
  Ref<Context> context;
};

// `loop`
class LoopContext final : public Object {
 public:
  // A recursive loop runs `statement` again in a frame below `outer` when it is called.
  LoopContext(Heap& heap, Value iterable, Ref<Iterator> source, const ForStmt* statement, Ref<Frame> outer,
              Int depth0)
      : Object(heap),
        iterable_(std::move(iterable)),
        source_(std::move(source)),
        statement_(statement),
        outer_(std::move(outer)),
        depth0_(depth0) {}
  void clear() noexcept override;

  bool next(Value& out);
  Value attribute(std::string_view name);  // missing, if there is none
  Int length();
  Value call(Interp& interp, Args args);
  Value cycle(const std::vector<Value>& items) const;
  bool changed(Value values);  // a tuple
  std::string repr();

 private:
  bool peek();

  Value iterable_;
  Ref<Iterator> source_;
  const ForStmt* statement_;  // null: not recursive
  Ref<Frame> outer_;
  Int depth0_;
  Int index0_ = -1;
  Int length_ = -1;
  Value before_, current_, after_;
  Value last_changed_;
};

}  // namespace quipu::jinja
