// Executes statements.
#include "chat/jinja/interp.h"
#include "chat/jinja/iterate.h"
#include "chat/jinja/json.h"
#include "chat/jinja/ops.h"
#include "chat/jinja/running.h"

namespace quipu::jinja {

Interp::Interp(const Program& program, Budget& budget, int64_t now_unix)
    : program_(program), budget_(budget), heap_(budget), now_unix_(now_unix) {
  budget_.hold(program.literals.size() * sizeof(Value));
  literals_.resize(program.literals.size());
}

std::string Interp::run(const nlohmann::ordered_json& given) {
  Value names = given.is_object() ? value_of_json(heap_, given) : make_dict(heap_);
  const Ref<Context> context = new Context(heap_, {}, std::move(names), make_dict(heap_));
  frame_ = new Frame(heap_, program_.function.n_slots, {}, context);
  TextBuilder out(budget_);
  out_ = &out;
  if (program_.uses_self)
    frame_->at(program_.self_slot) = Value::of(Kind::kSelf, new SelfReference(heap_, context));
  enter(program_.scope);
  exec_body(program_.body);
  out_ = nullptr;
  return out.take();
}

// ---- scopes

void Interp::enter(const Scope& scope) {
  for (const Load& load : scope.loads) {
    budget_.step();
    switch (load.how) {
      case Load::How::kNothing:
        break;
      case Load::How::kResolve:
        frame_->at(load.slot) = find_name(load.name);
        break;
      case Load::How::kAlias: {
        Value value = frame_->at(load.source);
        frame_->at(load.slot) = std::move(value);
        break;
      }
      case Load::How::kUndefined:
        frame_->at(load.slot) = Value();
        break;
    }
  }
}

void Interp::leave(const Scope& scope) {
  for (const Load& load : scope.loads) frame_->at(load.slot) = Value();
}

// Every namespace has to be one before anything is assigned.
void Interp::check_namespaces(const Expr& target) {
  if (target.kind == ExprKind::kTuple) {
    for (const Expr* item : static_cast<const SequenceExpr&>(target).items) check_namespaces(*item);
  } else if (target.kind == ExprKind::kNamespaceRef) {
    if (!frame_->at(static_cast<const NamespaceRefExpr&>(target).slot).is(Kind::kNamespace))
      fail(Fault::kRuntime, "cannot assign attribute on non-namespace object");
  }
}

void Interp::assign(const Expr& target, const Value& value) {
  budget_.step();
  if (target.kind == ExprKind::kName) {
    const auto& name = static_cast<const NameExpr&>(target);
    frame_->at(name.slot) = value;
    if (name.exported && !program_.blocks.empty())
      frame_->context->vars.as<Dict>().set(make_string(heap_, std::string(name.name)), value);
  } else if (target.kind == ExprKind::kNamespaceRef) {
    const auto& ref = static_cast<const NamespaceRefExpr&>(target);
    const Value ns = frame_->at(ref.slot);
    if (!ns.is(Kind::kNamespace)) fail(Fault::kRuntime, "cannot assign attribute on non-namespace object");
    ns.as<Namespace>().dict().set(make_string(heap_, std::string(ref.attribute)), value);
  } else {
    const auto& items = static_cast<const SequenceExpr&>(target).items;
    const std::vector<Value> values = unpack(heap_, value, items.size());
    for (size_t i = 0; i < items.size(); ++i) assign(*items[i], values[i]);
  }
}

// ---- output

void Interp::print(const Value& value, Escape escape) {
  if (escape == Escape::kYes || (escape == Escape::kDynamic && autoescape_))
    add_escaped(*out_, value);
  else
    add_str(*out_, value);
}

void Interp::print_text(const Value& value) {
  if (!value.is_string())
    fail(Fault::kType, "sequence item 0: expected str instance, {} found", type_name(value));
  out_->add(text_of(value));
}

Value Interp::captured(std::string text, Escape escape) {
  const bool markup = escape == Escape::kYes || (escape == Escape::kDynamic && autoescape_);
  return markup ? make_markup(heap_, std::move(text)) : make_string(heap_, std::move(text));
}

void Interp::exec_output(const OutputStmt& s) {
  for (const Expr* part : s.parts) {
    if (part->kind == ExprKind::kConst && static_cast<const ConstExpr*>(part)->is_data) {
      out_->add(program_.literals[static_cast<const ConstExpr*>(part)->index].text);
    } else {
      line_ = part->line;
      print(eval(*part), s.escape);
    }
  }
}

// ---- statements

Interp::Flow Interp::exec_body(const Body& body) {
  const Nested nested(budget_);
  for (const Stmt* s : body)
    if (const Flow flow = exec(*s); flow != Flow::kNext) return flow;
  return Flow::kNext;
}

Interp::Flow Interp::exec(const Stmt& s) {
  budget_.step();
  line_ = s.line;
  switch (s.kind) {
    case StmtKind::kOutput:
      exec_output(static_cast<const OutputStmt&>(s));
      break;
    case StmtKind::kIf:
      return exec_if(static_cast<const IfStmt&>(s));
    case StmtKind::kFor:
      return exec_for(static_cast<const ForStmt&>(s));
    case StmtKind::kMacro:
      exec_macro(static_cast<const MacroStmt&>(s));
      break;
    case StmtKind::kCallBlock:
      exec_call_block(static_cast<const CallBlockStmt&>(s));
      break;
    case StmtKind::kFilterBlock:
      return exec_filter_block(static_cast<const FilterBlockStmt&>(s));
    case StmtKind::kSet:
      exec_set(static_cast<const SetStmt&>(s));
      break;
    case StmtKind::kSetBlock:
      return exec_set_block(static_cast<const SetBlockStmt&>(s));
    case StmtKind::kWith:
      return exec_with(static_cast<const WithStmt&>(s));
    case StmtKind::kAutoescape:
      return exec_autoescape(static_cast<const AutoescapeStmt&>(s));
    case StmtKind::kBlock:
      exec_block(static_cast<const BlockStmt&>(s));
      break;
    case StmtKind::kBreak:
      return Flow::kBreak;
    case StmtKind::kContinue:
      return Flow::kContinue;
    case StmtKind::kInclude:
      exec_include(static_cast<const IncludeStmt&>(s));
  }
  return Flow::kNext;
}

Interp::Flow Interp::exec_if(const IfStmt& s) {
  for (const IfStmt::Branch& b : s.branches) {
    line_ = b.line;
    if (truth(eval(*b.test))) return exec_body(b.body);
  }
  return s.otherwise.empty() ? Flow::kNext : exec_body(s.otherwise);
}

void Interp::exec_set(const SetStmt& s) {
  check_namespaces(*s.target);
  assign(*s.target, eval(*s.value));
}

// A `break` within the block leaves what was caught so far behind.
Interp::Flow Interp::exec_set_block(const SetBlockStmt& s) {
  Capture capture(*this);
  enter(s.scope);
  if (const Flow flow = exec_body(s.body); flow != Flow::kNext) return flow;
  std::string text = capture.take();
  line_ = s.line;
  Value value;
  if (s.filter != nullptr) {
    const Value block_text = captured(std::move(text), s.escape);
    value = eval_applied(*s.filter, &block_text);
  } else {
    value = make_string(heap_, std::move(text));
  }
  if (autoescape_) value = make_markup(heap_, str_of(budget_, value));
  assign(*s.target, value);
  leave(s.scope);
  return Flow::kNext;
}

Interp::Flow Interp::exec_filter_block(const FilterBlockStmt& s) {
  Capture capture(*this);
  enter(s.scope);
  if (const Flow flow = exec_body(s.body); flow != Flow::kNext) return flow;
  const Value block_text = captured(capture.take(), s.escape);
  line_ = s.line;
  print_text(eval_applied(*s.filter, &block_text));
  leave(s.scope);
  return Flow::kNext;
}

Interp::Flow Interp::exec_with(const WithStmt& s) {
  enter(s.scope);
  for (size_t i = 0; i < s.targets.size(); ++i) assign(*s.targets[i], eval(*s.values[i]));
  const Flow flow = exec_body(s.body);
  leave(s.scope);
  return flow;
}

Interp::Flow Interp::exec_autoescape(const AutoescapeStmt& s) {
  const bool before = autoescape_;
  enter(s.scope);
  autoescape_ = truth(eval(*s.value));
  const Flow flow = exec_body(s.body);
  autoescape_ = before;
  leave(s.scope);
  return flow;
}

void Interp::exec_macro(const MacroStmt& s) {
  assign(*s.name, Value::of(Kind::kCallable, new Macro(heap_, s.name->name, s.macro, frame_)));
}

void Interp::exec_call_block(const CallBlockStmt& s) {
  const Value caller = Value::of(Kind::kCallable, new Macro(heap_, {}, s.macro, frame_));
  if (s.call == nullptr) return print_text(call(caller, {}));  // {% generation %}
  const Value callee = eval(*s.call->callee);
  Args args;
  eval_arguments(s.call->arguments, args);
  for (const auto& [name, value] : args.named)
    if (name == "caller") fail(Fault::kType, "got multiple values for keyword argument 'caller'");
  args.named.emplace_back("caller", caller);
  print_text(call(callee, std::move(args)));
}

void Interp::exec_block(const BlockStmt& s) {
  if (s.required) fail(Fault::kRuntime, "Required block {} not found", python_quoted(s.name));
  Ref<Context> context = frame_->context;
  if (s.scoped) {
    Value visible = make_dict(heap_);
    for (const auto& [name, slot] : s.visible) {
      const Value& value = frame_->at(slot);
      if (!value.missing()) visible.as<Dict>().set(make_string(heap_, std::string(name)), value);
    }
    context = new Context(heap_, context, std::move(visible), Value());
  }
  out_->add(text_of(call_block(s, context)));
}

void Interp::exec_include(const IncludeStmt& s) {
  eval(*s.name);
  fail(Fault::kType, "no loader for this environment specified");
}

// ---- loops

// The items that pass a loop's condition, which is evaluated in the frame of the loop when the item is asked
// for.
class FilteredIterator final : public Iterator {
 public:
  FilteredIterator(Interp& interp, const ForStmt& loop, Value iterable, Ref<Frame> frame)
      : Iterator(interp.heap()),
        interp_(interp),
        loop_(loop),
        iterable_(std::move(iterable)),
        frame_(std::move(frame)) {}
  void clear() noexcept override {
    iterable_ = Value();
    source_ = {};
    frame_ = {};
  }

  bool next(Value& out) override {
    if (!frame_) return false;
    const Interp::Running running(interp_, frame_);
    if (!source_) {
      interp_.enter(loop_.test_scope);
      source_ = iterate(heap(), iterable_);
    }
    for (Value item; source_->next(item);) {
      interp_.assign(*loop_.test_target, item);
      if (!truth(interp_.eval(*loop_.test))) continue;
      out = yielded(*loop_.test_target);
      return true;
    }
    return false;
  }

 private:
  Value yielded(const Expr& target) {
    if (target.kind == ExprKind::kName) return frame_->at(static_cast<const NameExpr&>(target).slot);
    std::vector<Value> items;
    for (const Expr* item : static_cast<const SequenceExpr&>(target).items) items.push_back(yielded(*item));
    return make_tuple(heap(), std::move(items));
  }

  Interp& interp_;
  const ForStmt& loop_;
  Value iterable_;
  Ref<Iterator> source_;
  Ref<Frame> frame_;
};

Interp::Flow Interp::exec_for(const ForStmt& s) {
  const Value iterable = eval(*s.iterable);
  if (s.recursive) {
    print_text(run_recursive_loop(s, frame_, iterable, 0));
    return Flow::kNext;
  }
  return run_loop(s, iterable, 0, frame_);
}

// `break` and `continue` before the end of the first round leave the `else` branch in force, as in Jinja.
Interp::Flow Interp::run_loop(const ForStmt& s, const Value& iterable, Int depth0, const Ref<Frame>& outer) {
  Value items = iterable;
  if (s.test != nullptr) items = Value::of(Kind::kIterator, new FilteredIterator(*this, s, iterable, frame_));
  const Ref<Iterator> source = iterate(heap_, items);
  Ref<LoopContext> loop;
  Value loop_value;
  if (s.extended) {
    loop = new LoopContext(heap_, items, source, s.recursive ? &s : nullptr, outer, depth0);
    loop_value = Value::of(Kind::kLoop, loop.get());
  }
  bool none = true;
  for (Value item; loop ? loop->next(item) : source->next(item);) {
    budget_.step();
    assign(*s.target, item);
    if (loop) frame_->at(s.loop_slot) = loop_value;
    enter(s.body_scope);
    const Flow flow = exec_body(s.body);
    line_ = s.line;
    if (flow == Flow::kBreak) break;
    if (flow == Flow::kNext) none = false;
  }
  leave(s.body_scope);
  if (!none || s.otherwise.empty()) return Flow::kNext;
  enter(s.else_scope);
  const Flow flow = exec_body(s.otherwise);
  leave(s.else_scope);
  return flow;
}

}  // namespace quipu::jinja
