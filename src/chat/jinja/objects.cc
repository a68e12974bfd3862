#include "chat/jinja/objects.h"

#include <algorithm>

#include "chat/jinja/interp.h"
#include "chat/jinja/iterate.h"
#include "chat/jinja/ops.h"

namespace quipu::jinja {

Value Args::take(std::string_view name) {
  const auto it = std::find_if(named.begin(), named.end(), [&](const auto& n) { return n.first == name; });
  if (it == named.end()) return {};
  Value value = std::move(it->second);
  named.erase(it);
  return value;
}

Value Context::find(std::string_view name) const {
  for (const Context* c = this; c != nullptr; c = c->outer.get()) {
    heap().budget().step();
    if (!c->vars.missing())
      if (const Value* v = c->vars.as<Dict>().find(name)) return *v;
    if (!c->given.missing())
      if (const Value* v = c->given.as<Dict>().find(name)) return *v;
  }
  return {};
}

Frame::Frame(Heap& heap, uint32_t n_slots, Ref<Frame> outer, Ref<Context> context)
    : Object(heap), outer(std::move(outer)), context(std::move(context)) {
  heap.budget().work(n_slots * sizeof(Value));
  hold(n_slots * sizeof(Value));
  slots.resize(n_slots);
}

Value& Frame::at(const Slot& slot) {
  Frame* f = this;
  for (uint16_t i = 0; i < slot.hops; ++i) f = f->outer.get();
  return f->slots[slot.index];
}

// ---- callables

Value Callable::attribute(std::string_view) const { return {}; }

Value BuiltinFunction::call(Interp& interp, Args args) {
  return interp.call_builtin(builtin_, std::move(args));
}

namespace {
// Some are classes in Python.
std::string_view class_name(std::string_view function) {
  if (function == "dict") return "dict";
  if (function == "namespace") return "jinja2.utils.Namespace";
  if (function == "cycler") return "jinja2.utils.Cycler";
  if (function == "joiner") return "jinja2.utils.Joiner";
  return {};
}
}  // namespace

std::string_view BuiltinFunction::type_name() const {
  return class_name(builtin_.name).empty() ? "function" : "type";
}

std::string BuiltinFunction::repr() const {
  const std::string_view name = class_name(builtin_.name);
  return name.empty() ? fmt::format("<function {}>", builtin_.name) : fmt::format("<class '{}'>", name);
}

Value BoundMethod::call(Interp& interp, Args args) {
  args.positional.insert(args.positional.begin(), self_);
  return interp.call_builtin(method_, std::move(args));
}
std::string BoundMethod::repr() const {
  return fmt::format("<built-in method {} of {} object>", method_.name, quipu::jinja::type_name(self_));
}
bool BoundMethod::same_as(const BoundMethod& other) const {
  return &method_ == &other.method_ && identical(self_, other.self_);
}

Value Macro::call(Interp& interp, Args args) {
  return interp.call_macro(name_, body_, outer_, std::move(args));
}

Value Macro::attribute(std::string_view name) const {
  if (name == "name") return name_.empty() ? Value::none() : make_string(heap(), std::string(name_));
  if (name == "catch_kwargs") return Value::boolean(body_.takes_kwargs);
  if (name == "catch_varargs") return Value::boolean(body_.takes_varargs);
  if (name == "caller") return Value::boolean(body_.takes_caller);
  if (name == "explicit_caller") return Value::boolean(body_.explicit_caller);
  if (name == "arguments") {
    std::vector<Value> names;
    for (const NameExpr* p : body_.parameters) names.push_back(make_string(heap(), std::string(p->name)));
    return make_tuple(heap(), std::move(names));
  }
  return {};
}

std::string Macro::repr() const {
  return name_.empty() ? std::string("<Macro anonymous>") : fmt::format("<Macro {}>", python_quoted(name_));
}

Value BlockReference::call(Interp& interp, Args args) {
  if (!args.positional.empty() || !args.named.empty()) fail(Fault::kType, "a block takes no arguments");
  return interp.call_block(block_, context_);
}

Value BlockReference::attribute(std::string_view name) const {
  if (name == "name") return make_string(heap(), std::string(block_.name));
  if (name == "super")
    return make_undefined(heap(),
                          fmt::format("there is no parent block called {}.", python_quoted(block_.name)));
  return {};
}

Value Joiner::call(Interp&, Args args) {
  if (!args.positional.empty() || !args.named.empty()) fail(Fault::kType, "a joiner takes no arguments");
  if (used_) return separator_;
  used_ = true;
  return make_string(heap(), {});
}

Value Joiner::attribute(std::string_view name) const {
  if (name == "sep") return separator_;
  if (name == "used") return Value::boolean(used_);
  return {};
}

// ---- loop

void LoopContext::clear() noexcept {
  iterable_ = before_ = current_ = after_ = last_changed_ = Value();
  source_ = {};
  outer_ = {};
}

bool LoopContext::peek() {
  if (after_.missing() && source_) source_->next(after_);
  return !after_.missing();
}

bool LoopContext::next(Value& out) {
  if (!after_.missing())
    out = std::move(after_);
  else if (!source_ || !source_->next(out))
    return false;
  after_ = Value();
  ++index0_;
  before_ = std::move(current_);
  current_ = out;
  return true;
}

// Of what has no length of its own, the rest is read and kept.
Int LoopContext::length() {
  if (length_ >= 0) return length_;
  if (has_length(iterable_) && !iterable_.is(Kind::kLoop)) {
    length_ = static_cast<Int>(length_of(iterable_));
  } else {
    std::vector<Value> rest;
    if (source_)
      for (Value v; source_->next(v);) add_item(heap().budget(), rest, v);
    const Int n = static_cast<Int>(rest.size());
    const Value list = make_list(heap(), std::move(rest));
    source_ = iterate(heap(), list);
    length_ = n + index0_ + 1 + (after_.missing() ? 0 : 1);
  }
  return length_;
}

Value LoopContext::attribute(std::string_view name) {
  if (name == "index") return Value::integer(index0_ + 1);
  if (name == "index0") return Value::integer(index0_);
  if (name == "first") return Value::boolean(index0_ == 0);
  if (name == "last") return Value::boolean(!peek());
  if (name == "length") return Value::integer(length());
  if (name == "revindex") return Value::integer(length() - index0_);
  if (name == "revindex0") return Value::integer(length() - index0_ - 1);
  if (name == "depth") return Value::integer(depth0_ + 1);
  if (name == "depth0") return Value::integer(depth0_);
  if (name == "previtem") return index0_ == 0 ? make_undefined(heap(), "there is no previous item") : before_;
  if (name == "nextitem") return peek() ? after_ : make_undefined(heap(), "there is no next item");
  return {};
}

Value LoopContext::call(Interp& interp, Args args) {
  if (args.positional.size() != 1 || !args.named.empty())
    fail(Fault::kType, "loop() takes exactly one argument, the iterable");
  if (statement_ == nullptr)
    fail(Fault::kType, "The loop must have the 'recursive' marker to be called recursively.");
  return interp.run_recursive_loop(*statement_, outer_, args.positional.front(), depth0_ + 1);
}

Value LoopContext::cycle(const std::vector<Value>& items) const {
  if (items.empty()) fail(Fault::kType, "no items for cycling given");
  return items[static_cast<size_t>(index0_ % static_cast<Int>(items.size()))];
}

bool LoopContext::changed(Value values) {
  if (!last_changed_.missing() && equal(heap().budget(), last_changed_, values)) return false;
  last_changed_ = std::move(values);
  return true;
}

std::string LoopContext::repr() {
  return fmt::format("<LoopContext {}/{}>", int_text(index0_ + 1), int_text(length()));
}

}  // namespace quipu::jinja
