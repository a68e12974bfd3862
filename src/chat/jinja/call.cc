// Calling: arguments to parameters, macros, blocks.
#include <algorithm>

#include "chat/jinja/interp.h"
#include "chat/jinja/ops.h"
#include "chat/jinja/running.h"

namespace quipu::jinja {

Bound bind_arguments(const Builtin& builtin, Args args) {
  const Signature& s = builtin.signature;
  Bound bound;
  const size_t n = std::min<size_t>(args.positional.size(), s.n);
  for (size_t i = 0; i < n; ++i) bound.v[i] = std::move(args.positional[i]);
  if (args.positional.size() > n) {
    if (!s.star)
      fail(Fault::kType, "{}() takes at most {} arguments but {} were given", builtin.name, s.n,
           args.positional.size());
    bound.rest.positional.assign(std::make_move_iterator(args.positional.begin() + static_cast<ptrdiff_t>(n)),
                                 std::make_move_iterator(args.positional.end()));
  }
  for (auto& [name, value] : args.named) {
    const auto end = s.names.begin() + s.n;
    const auto at = s.positional_only ? end : std::find(s.names.begin(), end, name);
    if (at == end) {
      if (!s.star_star)
        fail(Fault::kType, "{}() got an unexpected keyword argument '{}'", builtin.name, name);
      bound.rest.named.emplace_back(name, std::move(value));
      continue;
    }
    Value& slot = bound.v[static_cast<size_t>(at - s.names.begin())];
    if (!slot.missing()) fail(Fault::kType, "{}() got multiple values for argument '{}'", builtin.name, name);
    slot = std::move(value);
  }
  for (size_t i = 0; i < s.n_required; ++i)
    if (bound.v[i].missing())
      fail(Fault::kType, "{}() missing 1 required positional argument: '{}'", builtin.name, s.names[i]);
  return bound;
}

Value Interp::call_builtin(const Builtin& builtin, Args args) {
  budget_.step();
  budget_.check_stack();
  Bound bound = bind_arguments(builtin, std::move(args));
  return builtin.function(*this, bound);
}

Value Interp::call(const Value& callee, Args args) {
  budget_.step();
  const int line = line_;
  Value result;
  switch (callee.kind()) {
    case Kind::kCallable: {
      const Value keep = callee;  // a macro may drop the last reference to itself
      result = keep.as<Callable>().call(*this, std::move(args));
      break;
    }
    case Kind::kLoop:
      result = callee.as<LoopContext>().call(*this, std::move(args));
      break;
    case Kind::kUndefined:
      callee.as<Undefined>().raise();
    default:
      fail(Fault::kType, "'{}' object is not callable", type_name(callee));
  }
  line_ = line;
  return result;
}

Value Interp::call_macro(std::string_view name, const MacroBody& m, const Ref<Frame>& outer, Args args) {
  const Running running(*this, Ref<Frame>(new Frame(heap_, m.function.n_slots, outer, outer->context)));
  const size_t n = m.parameters.size();
  for (size_t i = 0; i < n; ++i) {
    Value& slot = frame_->at(m.parameters[i]->slot);
    slot = i < args.positional.size() ? args.positional[i] : args.take(m.parameters[i]->name);
  }
  if (m.takes_caller && !m.explicit_caller) {
    Value caller = args.take("caller");
    if (caller.missing() || caller.is_none()) caller = make_undefined(heap_, "No caller defined");
    frame_->at(m.caller_slot) = std::move(caller);
  }
  const std::string shown = name.empty() ? "None" : python_quoted(name);
  if (m.takes_kwargs) {
    Value rest = make_dict(heap_);
    for (auto& [key, value] : args.named) rest.as<Dict>().set(make_string(heap_, key), std::move(value));
    frame_->at(m.kwargs_slot) = std::move(rest);
  } else if (!args.named.empty()) {
    if (!args.take("caller").missing())
      fail(Fault::kType,
           "macro {} was invoked with two values for the special caller argument. This is most likely a bug.",
           shown);
    fail(Fault::kType, "macro {} takes no keyword argument {}", shown,
         python_quoted(args.named.front().first));
  }
  const bool excess = args.positional.size() > n;
  if (m.takes_varargs) {
    std::vector<Value> rest;
    if (excess) rest.assign(args.positional.begin() + static_cast<ptrdiff_t>(n), args.positional.end());
    frame_->at(m.varargs_slot) = make_tuple(heap_, std::move(rest));
  } else if (excess) {
    fail(Fault::kType, "macro {} takes not more than {} argument(s)", shown, n);
  }

  Capture capture(*this);
  enter(m.scope);
  for (size_t i = 0; i < n; ++i) {
    Value& slot = frame_->at(m.parameters[i]->slot);
    if (!slot.missing()) continue;
    const size_t first_default = n - m.defaults.size();
    Value value = i >= first_default
                      ? eval(*m.defaults[i - first_default])
                      : make_undefined(heap_, fmt::format("parameter {} was not provided",
                                                          python_quoted(m.parameters[i]->name)));
    frame_->at(m.parameters[i]->slot) = std::move(value);
  }
  exec_body(m.body);
  std::string text = capture.take();
  return autoescape_ ? make_markup(heap_, std::move(text)) : make_string(heap_, std::move(text));
}

Value Interp::call_block(const BlockStmt& block, const Ref<Context>& context) {
  const Running running(*this, Ref<Frame>(new Frame(heap_, block.function.n_slots, {}, context)));
  if (block.uses_self)
    frame_->at(block.self_slot) = Value::of(Kind::kSelf, new SelfReference(heap_, context));
  if (block.uses_super)
    frame_->at(block.super_slot) =
        make_undefined(heap_, fmt::format("there is no parent block called {}.", python_quoted(block.name)));
  Capture capture(*this);
  enter(block.scope);
  exec_body(block.body);
  std::string text = capture.take();
  return autoescape_ ? make_markup(heap_, std::move(text)) : make_string(heap_, std::move(text));
}

Value Interp::run_recursive_loop(const ForStmt& loop, const Ref<Frame>& outer, const Value& iterable,
                                 Int depth0) {
  const Running running(*this, Ref<Frame>(new Frame(heap_, loop.function.n_slots, outer, outer->context)));
  Capture capture(*this);
  run_loop(loop, iterable, depth0, outer);
  return captured(capture.take(), loop.escape);
}

}  // namespace quipu::jinja
