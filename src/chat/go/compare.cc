#include "chat/go/compare.h"

#include <string>
#include <utility>

#include "chat/go/print.h"

namespace quipu::gotmpl {

namespace {

using Args = std::span<const Value>;

bool is_basic(const Value& v) {
  switch (v.kind()) {
    case Kind::kBool:
    case Kind::kInt:
    case Kind::kUint:
    case Kind::kFloat:
    case Kind::kComplex:
    case Kind::kString:
      return true;
    default:
      return false;
  }
}

// What a complaint shows of a value.
std::string shown(const Value& v, char32_t verb, const CallContext& context) {
  std::string out;
  if (v.valid()) Printer(out, context.budget).value(v, verb);
  return out;
}

std::string_view type_name(const Value& v) { return v.valid() ? v.type_name() : "<nil>"; }

[[noreturn]] void incompatible(const Value& a, const Value& b) {
  fail_call("incompatible types for comparison: {} and {}", type_name(a), type_name(b));
}

// Of one kind, which is basic.
bool same_basic(const Value& a, const Value& b, const CallContext& context) {
  switch (a.kind()) {
    case Kind::kString:
      context.budget.step(a.size() / Budget::kBytesPerStep);
      return a.as_string() == b.as_string();
    case Kind::kFloat:
      return a.as_float() == b.as_float();
    case Kind::kComplex:
      return a.as_complex() == b.as_complex();
    default:
      return a.as_uint() == b.as_uint();
  }
}

// Of kinds that only nil and identity are known of.
bool same_other(const Value& a, const Value& b, const CallContext& context) {
  if (a.kind() != b.kind() && a.valid() && b.valid())
    fail_call("non-comparable types {}: {}, {}: {}", shown(a, 's', context), type_name(a), type_name(b),
              shown(b, 'v', context));
  if (a.is_nil() || b.is_nil()) return a.is_nil() == b.is_nil();
  if (!b.is(Kind::kPointer)) fail_call("non-comparable type {}: {}", shown(b, 's', context), type_name(b));
  return a.type() == b.type() && a.identity() == b.identity();
}

// A negative integer is no unsigned one.
bool same_across_signs(const Value& integer, const Value& natural) {
  return integer.as_int() >= 0 && integer.as_uint() == natural.as_uint();
}

bool same(const Value& a, const Value& b, const CallContext& context) {
  if (a.is(Kind::kInt) && b.is(Kind::kUint)) return same_across_signs(a, b);
  if (a.is(Kind::kUint) && b.is(Kind::kInt)) return same_across_signs(b, a);
  const bool basic_a = is_basic(a), basic_b = is_basic(b);
  if (!basic_a && !basic_b) return same_other(a, b, context);
  if (basic_a && a.kind() == b.kind()) return same_basic(a, b, context);
  if (a.valid() && b.valid()) incompatible(a, b);
  return false;
}

bool less_than(const Value& boxed_a, const Value& boxed_b, const CallContext& context) {
  const Value a = boxed_a.unboxed(), b = boxed_b.unboxed();
  if (!is_basic(a) || !is_basic(b)) fail_call("invalid type for comparison");
  if (a.is(Kind::kInt) && b.is(Kind::kUint)) return a.as_int() < 0 || a.as_uint() < b.as_uint();
  if (a.is(Kind::kUint) && b.is(Kind::kInt)) return b.as_int() >= 0 && a.as_uint() < b.as_uint();
  if (a.kind() != b.kind()) incompatible(a, b);
  switch (a.kind()) {
    case Kind::kInt:
      return a.as_int() < b.as_int();
    case Kind::kUint:
      return a.as_uint() < b.as_uint();
    case Kind::kFloat:
      return a.as_float() < b.as_float();
    case Kind::kString:
      context.budget.step(a.size() / Budget::kBytesPerStep);
      return a.as_string() < b.as_string();
    default:
      fail_call("invalid type for comparison");
  }
}

bool less_or_same(Args args, const CallContext& context) {
  return less_than(args[0], args[1], context) || same(args[0].unboxed(), args[1].unboxed(), context);
}

}  // namespace

Value equal(Args args, const CallContext& context) {
  if (args.size() < 2) fail_call("missing argument for comparison");
  const Value first = args[0].unboxed();
  for (const Value& other : args.subspan(1))
    if (same(first, other.unboxed(), context)) return Value::boolean(true);
  return Value::boolean(false);
}

Value not_equal(Args args, const CallContext& context) {
  return Value::boolean(!same(args[0].unboxed(), args[1].unboxed(), context));
}

Value less(Args args, const CallContext& context) {
  return Value::boolean(less_than(args[0], args[1], context));
}

Value less_or_equal(Args args, const CallContext& context) {
  return Value::boolean(less_or_same(args, context));
}

Value greater(Args args, const CallContext& context) { return Value::boolean(!less_or_same(args, context)); }

Value greater_or_equal(Args args, const CallContext& context) {
  return Value::boolean(!less_than(args[0], args[1], context));
}

}  // namespace quipu::gotmpl
