// Filters that make and change numbers.
#include <array>
#include <charconv>
#include <cmath>

#include "chat/jinja/filter_support.h"
#include "chat/jinja/literal.h"
#include "chat/jinja/numbers.h"

namespace quipu::jinja {

namespace {

Value abs_filter(Interp&, Bound& args) {
  if (args[0].is(Kind::kFloat)) return Value::number(std::abs(args[0].as_float()));
  if (!args[0].is_integral()) fail(Fault::kType, "bad operand type for abs(): '{}'", type_name(args[0]));
  const Int i = args[0].as_int();
  Int out = i;
  if (i < 0 && __builtin_sub_overflow(Int{0}, i, &out)) fail(Fault::kOverflow, "the integer is too large");
  return Value::integer(out);
}

bool is_conversion_error(Fault f) { return f == Fault::kType || f == Fault::kValue; }

// "42.9" becomes 42 by way of a float, and what is no number at all the default.
Value int_filter(Interp& interp, Bound& args) {
  const Value fallback = args.has(1) ? args[1] : Value::integer(0);
  const Value base = args.has(2) ? args[2] : Value::integer(10);
  try {
    if (args[0].is_string()) return int_of_text(interp, args[0], need_small_int(base, "base"));
    return int_of_number(args[0]);
  } catch (const Failure& f) {
    if (!is_conversion_error(f.fault)) throw;
  }
  try {
    return int_of_number(Value::number(float_of(interp, args[0])));
  } catch (const Failure& f) {
    if (!is_conversion_error(f.fault) && f.fault != Fault::kOverflow) throw;
    return fallback;
  }
}

Value float_filter(Interp& interp, Bound& args) {
  try {
    return Value::number(float_of(interp, args[0]));
  } catch (const Failure& f) {
    if (!is_conversion_error(f.fault)) throw;
    return args.has(1) ? args[1] : Value::number(0.0);
  }
}

Value round_filter(Interp& interp, Bound& args) {
  const Value& v = args[0];
  const int precision = args.has(1) && !args[1].is_none() ? need_small_int(args[1], "precision") : 0;
  const std::string method = args.has(2) && args[2].is_string() ? text_of(args[2])
                             : args.has(2)                      ? ""
                                                                : "common";
  if (method != "common" && method != "ceil" && method != "floor")
    fail(Fault::kRuntime, "method must be common, ceil or floor");
  if (!v.is_number()) {
    if (v.is_undefined() && method != "common") v.as<Undefined>().raise();
    fail(Fault::kType, "type {} doesn't define __round__ method", type_name(v));
  }
  if (method == "common")
    return v.is(Kind::kFloat) ? Value::number(round_decimal(v.as_float(), precision))
                              : Value::integer(round_decimal(v.as_int(), precision));
  const Value scale = arithmetic(interp, Op::kPow, Value::integer(10), Value::integer(precision));
  const Value scaled = arithmetic(interp, Op::kMul, v, scale);
  if (scaled.is_integral()) return arithmetic(interp, Op::kDiv, scaled, scale);
  const double d = method == "ceil" ? std::ceil(scaled.as_float()) : std::floor(scaled.as_float());
  return arithmetic(interp, Op::kDiv, int_of_number(Value::number(d)), scale);
}

Value filesizeformat(Interp& interp, Bound& args) {
  const double bytes = float_of(interp, args[0]);
  const bool binary = flag(args, 1);
  const double base = binary ? 1024 : 1000;
  constexpr std::array<std::string_view, 8> kPrefixes = {"k", "M", "G", "T", "P", "E", "Z", "Y"};
  const auto text = [&]() -> std::string {
    if (bytes == 1) return "1 Byte";
    if (bytes < base) return int_text(int_of_number(Value::number(bytes)).as_int()) + " Bytes";
    double unit = base;
    for (size_t i = 0;; ++i) {
      unit *= base;
      if (bytes < unit || i + 1 == kPrefixes.size()) {
        const std::string_view p = kPrefixes[i];
        return fmt::format("{:.1f} {}{}", base * bytes / unit, binary && p == "k" ? "K" : p,
                           binary ? "iB" : "B");
      }
    }
  };
  return make_string(interp.heap(), text());
}

constexpr Builtin kTable[] = {
    {"abs", "/ x", abs_filter},
    {"int", "value default= base=", int_filter},
    {"float", "value default=", float_filter},
    {"round", "value precision= method=", round_filter},
    {"filesizeformat", "value binary=", filesizeformat},
};

}  // namespace

BuiltinTable number_filters() { return {kTable, std::size(kTable)}; }

}  // namespace quipu::jinja
