// Evaluates expressions.
#include "chat/jinja/interp.h"
#include "chat/jinja/iterate.h"
#include "chat/jinja/ops.h"
#include "chat/jinja/running.h"

namespace quipu::jinja {

Value Interp::find_name(std::string_view name) {
  if (frame_->context)
    if (Value v = frame_->context->find(name); !v.missing()) return v;
  if (const Builtin* global = find_global(name))
    return Value::of(Kind::kCallable, new BuiltinFunction(heap_, *global));
  return {};
}

Value Interp::eval(const Expr& e) {
  budget_.step();
  switch (e.kind) {
    case ExprKind::kConst:
      return eval_const(static_cast<const ConstExpr&>(e));
    case ExprKind::kName:
      return eval_name(static_cast<const NameExpr&>(e));
    default:
      break;
  }
  const Nested nested(budget_);
  switch (e.kind) {
    case ExprKind::kTuple:
    case ExprKind::kList:
      return eval_sequence(static_cast<const SequenceExpr&>(e));
    case ExprKind::kDict:
      return eval_dict(static_cast<const DictExpr&>(e));
    case ExprKind::kConditional:
      return eval_conditional(static_cast<const ConditionalExpr&>(e));
    case ExprKind::kAnd:
    case ExprKind::kOr:
      return eval_logic(static_cast<const SequenceExpr&>(e));
    case ExprKind::kCompare:
      return eval_compare(static_cast<const ChainExpr&>(e));
    case ExprKind::kArithmetic:
      return eval_arithmetic(static_cast<const ChainExpr&>(e));
    case ExprKind::kConcat:
      return eval_concat(static_cast<const SequenceExpr&>(e));
    case ExprKind::kNot:
    case ExprKind::kNegative:
    case ExprKind::kPositive:
      return eval_unary(static_cast<const UnaryExpr&>(e));
    case ExprKind::kAttribute:
      return eval_attribute(static_cast<const AttributeExpr&>(e));
    case ExprKind::kItem:
      return eval_item(static_cast<const ItemExpr&>(e));
    case ExprKind::kCall:
      return eval_call(static_cast<const CallExpr&>(e));
    case ExprKind::kFilter:
    case ExprKind::kTest:
      return eval_applied(static_cast<const AppliedExpr&>(e), nullptr);
    default:
      fail(Fault::kRuntime, "an expression that cannot be evaluated here");
  }
}

Value Interp::eval_const(const ConstExpr& e) {
  const Literal& literal = program_.literals[e.index];
  switch (literal.kind) {
    case Literal::Kind::kNone:
      return Value::none();
    case Literal::Kind::kBool:
      return Value::boolean(literal.integer != 0);
    case Literal::Kind::kInt:
      return Value::integer(literal.integer);
    case Literal::Kind::kFloat:
      return Value::number(literal.number);
    case Literal::Kind::kString:
      break;
  }
  Value& made = literals_[e.index];
  if (made.missing()) made = make_string(heap_, literal.text);
  return made;
}

Value Interp::eval_name(const NameExpr& e) {
  const Value& value = frame_->at(e.slot);
  return value.missing() ? make_undefined(heap_, fmt::format("{} is undefined", python_quoted(e.name)))
                         : value;
}

Value Interp::eval_sequence(const SequenceExpr& e) {
  std::vector<Value> items;
  items.reserve(e.items.size());
  for (const Expr* item : e.items) items.push_back(eval(*item));
  return e.kind == ExprKind::kList ? make_list(heap_, std::move(items)) : make_tuple(heap_, std::move(items));
}

Value Interp::eval_dict(const DictExpr& e) {
  Value dict = make_dict(heap_);
  for (const auto& [key, value] : e.items) {
    const Value k = eval(*key);
    dict.as<Dict>().set(k, eval(*value));
  }
  return dict;
}

Value Interp::eval_conditional(const ConditionalExpr& e) {
  if (truth(eval(*e.test))) return eval(*e.yes);
  if (e.no != nullptr) return eval(*e.no);
  return make_undefined(
      heap_, fmt::format("the inline if-expression on line {} evaluated to false and no else section"
                         " was defined.",
                         e.line));
}

Value Interp::eval_logic(const SequenceExpr& e) {
  const bool stops_at = e.kind == ExprKind::kOr;
  for (size_t i = 0;; ++i) {
    Value value = eval(*e.items[i]);
    if (i + 1 == e.items.size() || truth(value) == stops_at) return value;
  }
}

Value Interp::eval_compare(const ChainExpr& e) {
  Value left = eval(*e.first);
  for (const auto& [op, operand] : e.rest) {
    Value right = eval(*operand);
    bool holds = false;
    if (op == Op::kIn || op == Op::kNotIn)
      holds = contains(*this, right, left) == (op == Op::kIn);
    else
      holds = compare(budget_, op, left, right);
    if (!holds) return Value::boolean(false);
    left = std::move(right);
  }
  return Value::boolean(true);
}

Value Interp::eval_arithmetic(const ChainExpr& e) {
  Value left = eval(*e.first);
  for (const auto& [op, operand] : e.rest) {
    const Value right = eval(*operand);
    left = arithmetic(*this, op, left, right);
  }
  return left;
}

// `~`: everything as text. Where the text escapes, one Markup among them makes all of it Markup.
Value Interp::eval_concat(const SequenceExpr& e) {
  std::vector<Value> parts;
  bool markup = false;
  for (const Expr* item : e.items) {
    parts.push_back(eval(*item));
    markup = markup || (e.escape == Escape::kYes && is_markup(parts.back()));
  }
  TextBuilder out(budget_);
  for (const Value& part : parts) {
    if (markup)
      add_escaped(out, part);
    else
      add_str(out, part);
  }
  return markup ? make_markup(heap_, out.take()) : make_string(heap_, out.take());
}

Value Interp::eval_unary(const UnaryExpr& e) {
  const Value operand = eval(*e.operand);
  if (e.kind == ExprKind::kNot) return Value::boolean(!truth(operand));
  return e.kind == ExprKind::kNegative ? negative(heap_, operand) : positive(operand);
}

Value Interp::eval_attribute(const AttributeExpr& e) {
  const Value object = eval(*e.object);
  return get_attribute(*this, object, e.name);
}

Value Interp::eval_item(const ItemExpr& e) {
  const Value object = eval(*e.object);
  if (e.key->kind != ExprKind::kSlice) return get_item(*this, object, eval(*e.key));
  const auto& slice = static_cast<const SliceExpr&>(*e.key);
  const auto part = [&](const Expr* x) { return x == nullptr ? Value() : eval(*x); };
  const Value start = part(slice.start), stop = part(slice.stop), step = part(slice.step);
  return get_slice(*this, object, start, stop, step);
}

void Interp::add_star(const Value& value, Args& out) {
  if (!is_iterable(value)) fail(Fault::kType, "Value after * must be an iterable, not {}", type_name(value));
  for_each(heap_, value, [&](const Value& item) { add_item(budget_, out.positional, item); });
}

void Interp::add_star_star(const Value& value, Args& out) {
  if (!value.is(Kind::kDict))
    fail(Fault::kType, "argument after ** must be a mapping, not {}", type_name(value));
  for (const auto& [key, item] : value.as<Dict>().entries()) {
    if (!key.is_string()) fail(Fault::kType, "keywords must be strings");
    for (const auto& [name, other] : out.named) {
      budget_.step();
      if (name == text_of(key))
        fail(Fault::kType, "got multiple values for keyword argument {}", python_quoted(name));
    }
    out.named.emplace_back(text_of(key), item);
  }
}

void Interp::eval_arguments(const Arguments& a, Args& out) {
  out.positional.reserve(out.positional.size() + a.positional.size());
  for (const Expr* e : a.positional) out.positional.push_back(eval(*e));
  if (a.star != nullptr) add_star(eval(*a.star), out);
  for (const auto& [name, e] : a.named) out.named.emplace_back(std::string(name), eval(*e));
  if (a.star_star != nullptr) add_star_star(eval(*a.star_star), out);
}

Value Interp::eval_call(const CallExpr& e) {
  const Value callee = eval(*e.callee);
  Args args;
  eval_arguments(e.arguments, args);
  return call(callee, std::move(args));
}

Value Interp::eval_applied(const AppliedExpr& e, const Value* block_text) {
  Args args;
  if (e.operand == nullptr) {
    if (block_text != nullptr) args.positional.push_back(*block_text);
  } else if (block_text != nullptr && e.operand->kind == ExprKind::kFilter) {
    const Nested nested(budget_);
    args.positional.push_back(eval_applied(static_cast<const AppliedExpr&>(*e.operand), block_text));
  } else {
    args.positional.push_back(eval(*e.operand));
  }
  eval_arguments(e.arguments, args);
  if (e.function == nullptr)
    fail(Fault::kRuntime, "No {} named {} found.", e.kind == ExprKind::kFilter ? "filter" : "test",
         python_quoted(e.name));
  const int line = line_;
  Value result = call_builtin(*e.function, std::move(args));
  line_ = line;
  return result;
}

}  // namespace quipu::jinja
