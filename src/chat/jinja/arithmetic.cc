// Python's arithmetic: numbers, and what + * % do with text and sequences.
#include <algorithm>
#include <cmath>

#include "chat/jinja/format.h"
#include "chat/jinja/interp.h"
#include "chat/jinja/iterate.h"
#include "chat/jinja/ops.h"
#include "chat/jinja/text.h"

namespace quipu::jinja {

namespace {

[[noreturn]] void unsupported(std::string_view symbol, const Value& a, const Value& b) {
  fail(Fault::kType, "unsupported operand type(s) for {}: '{}' and '{}'", symbol, type_name(a), type_name(b));
}

[[noreturn]] void too_large() { fail(Fault::kOverflow, "the integer is too large"); }

std::string_view symbol_of(Op op) {
  switch (op) {
    case Op::kAdd:
      return "+";
    case Op::kSub:
      return "-";
    case Op::kMul:
      return "*";
    case Op::kDiv:
      return "/";
    case Op::kFloorDiv:
      return "//";
    case Op::kMod:
      return "%";
    default:
      return "** or pow()";
  }
}

Int floor_div(Int a, Int b) {
  if (b == -1) {
    Int out = 0;
    if (__builtin_sub_overflow(Int{0}, a, &out)) too_large();
    return out;
  }
  const Int q = a / b;
  return a % b != 0 && ((a % b < 0) != (b < 0)) ? q - 1 : q;
}

Int floor_mod(Int a, Int b) {
  if (b == -1) return 0;
  const Int r = a % b;
  return r != 0 && ((r < 0) != (b < 0)) ? r + b : r;
}

double float_mod(double a, double b) {
  double r = std::fmod(a, b);
  if (r != 0) {
    if ((r < 0) != (b < 0)) r += b;
  } else {
    r = std::copysign(0.0, b);
  }
  return r;
}

double float_floor_div(double a, double b) {
  const double r = std::fmod(a, b);
  double q = (a - r) / b;
  if (r != 0 && ((r < 0) != (b < 0))) q -= 1;
  if (q == 0) return std::copysign(0.0, a / b);
  const double floor = std::floor(q);
  return q - floor > 0.5 ? floor + 1 : floor;
}

// Both as the same double only where that is exact; otherwise long double has the bits for all but the
// largest.
double true_div(Int a, Int b) {
  constexpr Int kExact = Int{1} << 53;
  if (a > -kExact && a < kExact && b > -kExact && b < kExact)
    return static_cast<double>(a) / static_cast<double>(b);
  return static_cast<double>(static_cast<long double>(a) / static_cast<long double>(b));
}

Value int_power(Int base, Int exponent) {
  if (exponent < 0) {
    if (base == 0) fail(Fault::kZeroDivision, "0.0 cannot be raised to a negative power");
    return Value::number(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  Int result = 1;
  if (base == 0 || base == 1) return Value::integer(exponent == 0 ? 1 : base);
  if (base == -1) return Value::integer(exponent % 2 == 0 ? 1 : -1);
  if (exponent > 127) too_large();
  for (; exponent > 0; --exponent)
    if (__builtin_mul_overflow(result, base, &result)) too_large();
  return Value::integer(result);
}

Value float_power(double a, double b) {
  if (a == 0 && b < 0) fail(Fault::kZeroDivision, "0.0 cannot be raised to a negative power");
  if (a < 0 && std::isfinite(a) && std::isfinite(b) && std::floor(b) != b)
    fail(Fault::kType, "complex numbers are not supported");
  const double r = std::pow(a, b);
  if (std::isinf(r) && std::isfinite(a) && std::isfinite(b))
    fail(Fault::kOverflow, "(34, 'Numerical result out of range')");
  return Value::number(r);
}

Value int_arithmetic(Op op, Int a, Int b) {
  Int out = 0;
  switch (op) {
    case Op::kAdd:
      if (__builtin_add_overflow(a, b, &out)) too_large();
      return Value::integer(out);
    case Op::kSub:
      if (__builtin_sub_overflow(a, b, &out)) too_large();
      return Value::integer(out);
    case Op::kMul:
      if (__builtin_mul_overflow(a, b, &out)) too_large();
      return Value::integer(out);
    case Op::kDiv:
      if (b == 0) fail(Fault::kZeroDivision, "division by zero");
      return Value::number(true_div(a, b));
    case Op::kFloorDiv:
      if (b == 0) fail(Fault::kZeroDivision, "integer division or modulo by zero");
      return Value::integer(floor_div(a, b));
    case Op::kMod:
      if (b == 0) fail(Fault::kZeroDivision, "integer modulo by zero");
      return Value::integer(floor_mod(a, b));
    default:
      return int_power(a, b);
  }
}

Value float_arithmetic(Op op, double a, double b) {
  switch (op) {
    case Op::kAdd:
      return Value::number(a + b);
    case Op::kSub:
      return Value::number(a - b);
    case Op::kMul:
      return Value::number(a * b);
    case Op::kDiv:
      if (b == 0) fail(Fault::kZeroDivision, "float division by zero");
      return Value::number(a / b);
    case Op::kFloorDiv:
      if (b == 0) fail(Fault::kZeroDivision, "float floor division by zero");
      return Value::number(float_floor_div(a, b));
    case Op::kMod:
      if (b == 0) fail(Fault::kZeroDivision, "float modulo");
      return Value::number(float_mod(a, b));
    default:
      return float_power(a, b);
  }
}

Value concatenate(Heap& heap, const Value& a, const Value& b) {
  Budget& budget = heap.budget();
  if (a.is_string() && b.is_string()) {
    TextBuilder out(budget);
    const bool markup = is_markup(a) || is_markup(b);
    for (const Value* v : {&a, &b}) {
      if (markup)
        add_escaped(out, *v);
      else
        out.add(text_of(*v));
    }
    return markup ? make_markup(heap, out.take()) : make_string(heap, out.take());
  }
  if (is_sequence(a) && a.kind() == b.kind()) {
    const size_t n = items_of(a).size() + items_of(b).size();
    budget.check_size(n * sizeof(Value));
    budget.step(n);
    std::vector<Value> items;
    items.reserve(n);
    for (const Value* v : {&a, &b}) items.insert(items.end(), items_of(*v).begin(), items_of(*v).end());
    return a.is(Kind::kList) ? make_list(heap, std::move(items)) : make_tuple(heap, std::move(items));
  }
  if (a.is_string()) fail(Fault::kType, "can only concatenate str (not \"{}\") to str", type_name(b));
  if (is_sequence(a))
    fail(Fault::kType, "can only concatenate {} (not \"{}\") to {}", type_name(a), type_name(b),
         type_name(a));
  unsupported("+", a, b);
}

Value repeat(Heap& heap, const Value& what, const Value& times) {
  Budget& budget = heap.budget();
  const Int n = times.as_int();
  if (n > INT64_MAX || n < INT64_MIN) fail(Fault::kOverflow, "cannot fit 'int' into an index-sized integer");
  if (what.is_string()) {
    TextBuilder out(budget);
    checked_repeat(budget, text_of(what).size(), n);
    if (n > 0) out.fill(static_cast<uint64_t>(n), text_of(what));
    return make_string_like(what, out.take());
  }
  const auto& from = items_of(what);
  budget.step(checked_repeat(budget, from.size() * sizeof(Value), n) / sizeof(Value));
  std::vector<Value> items;
  if (n > 0 && !from.empty()) {
    items.reserve(from.size() * static_cast<size_t>(n));
    for (Int i = 0; i < n; ++i) items.insert(items.end(), from.begin(), from.end());
  }
  return what.is(Kind::kList) ? make_list(heap, std::move(items)) : make_tuple(heap, std::move(items));
}

Value multiply(Heap& heap, const Value& a, const Value& b) {
  for (const auto& [what, times] : {std::pair(&a, &b), std::pair(&b, &a)}) {
    if (!what->is_string() && !is_sequence(*what)) continue;
    if (times->is_integral()) return repeat(heap, *what, *times);
    fail(Fault::kType, "can't multiply sequence by non-int of type '{}'", type_name(*times));
  }
  unsupported("*", a, b);
}

}  // namespace

Value arithmetic(Interp& interp, Op op, const Value& a, const Value& b) {
  interp.budget().step();
  if (a.is_integral() && b.is_integral()) return int_arithmetic(op, a.as_int(), b.as_int());
  if (a.is_number() && b.is_number()) return float_arithmetic(op, a.to_double(), b.to_double());
  if (op == Op::kMod && a.is_string()) return format_percent(interp, a, b);
  if (a.is_undefined()) a.as<Undefined>().raise();
  if (b.is_undefined()) b.as<Undefined>().raise();
  if (op == Op::kAdd) return concatenate(interp.heap(), a, b);
  if (op == Op::kMul) return multiply(interp.heap(), a, b);
  unsupported(symbol_of(op), a, b);
}

Value negative(Heap&, const Value& value) {
  if (value.is(Kind::kFloat)) return Value::number(-value.as_float());
  if (value.is_integral()) return int_arithmetic(Op::kSub, 0, value.as_int());
  if (value.is_undefined()) value.as<Undefined>().raise();
  fail(Fault::kType, "bad operand type for unary -: '{}'", type_name(value));
}

Value positive(const Value& value) {
  if (value.is(Kind::kFloat)) return value;
  if (value.is_integral()) return Value::integer(value.as_int());
  if (value.is_undefined()) value.as<Undefined>().raise();
  fail(Fault::kType, "bad operand type for unary +: '{}'", type_name(value));
}

bool contains(Interp& interp, const Value& container, const Value& item) {
  Budget& budget = interp.budget();
  switch (container.kind()) {
    case Kind::kString:
      if (!item.is_string())
        fail(Fault::kType, "'in <string>' requires string as left operand, not {}", type_name(item));
      budget.work(text_of(container).size() + text_of(item).size());
      return find_text(budget, text_of(container), text_of(item), 0) != std::string_view::npos;
    case Kind::kDict:
      return container.as<Dict>().find(item) != nullptr;
    case Kind::kRange: {
      const auto& r = container.as<Range>();
      if (!item.is_number()) return false;
      if (item.is(Kind::kFloat) && std::floor(item.as_float()) != item.as_float()) return false;
      if (item.is(Kind::kFloat) && std::abs(item.as_float()) > 0x1p120) return false;
      const Int i = item.is(Kind::kFloat) ? static_cast<Int>(item.as_float()) : item.as_int();
      const bool inside = r.step > 0 ? i >= r.start && i < r.stop : i <= r.start && i > r.stop;
      return inside && (i - r.start) % r.step == 0;
    }
    case Kind::kView:
      if (container.as<View>().of == View::Of::kKeys)
        return container.as<View>().dict.as<Dict>().find(item) != nullptr;
      break;
    default:
      if (!is_iterable(container))
        fail(Fault::kType, "argument of type '{}' is not iterable", type_name(container));
  }
  const Ref<Iterator> it = iterate(interp.heap(), container);
  for (Value v; it->next(v);)
    if (identical(v, item) || equal(budget, v, item)) return true;
  return false;
}

}  // namespace quipu::jinja
