// Tests: what stands behind `is`.
#include "chat/jinja/filter_support.h"
#include "chat/jinja/iterate.h"
#include "chat/jinja/unicode.h"

namespace quipu::jinja {

namespace {

Value yes_or_no(bool b) { return Value::boolean(b); }

bool remainder_is(Interp& interp, const Value& value, const Value& by, Int expected) {
  return equal(interp.budget(), arithmetic(interp, Op::kMod, value, by), Value::integer(expected));
}

Value odd(Interp& interp, Bound& a) { return yes_or_no(remainder_is(interp, a[0], Value::integer(2), 1)); }
Value even(Interp& interp, Bound& a) { return yes_or_no(remainder_is(interp, a[0], Value::integer(2), 0)); }
Value divisibleby(Interp& interp, Bound& a) { return yes_or_no(remainder_is(interp, a[0], a[1], 0)); }

Value defined(Interp&, Bound& a) { return yes_or_no(!a[0].is_undefined()); }
Value undefined(Interp&, Bound& a) { return yes_or_no(a[0].is_undefined()); }
Value is_filter(Interp& interp, Bound& a) {
  hash_of(interp.budget(), a[0]);  // what cannot be hashed cannot be looked up
  return yes_or_no(a[0].is_string() && find_filter(text_of(a[0])) != nullptr);
}
Value is_test(Interp& interp, Bound& a) {
  hash_of(interp.budget(), a[0]);
  return yes_or_no(a[0].is_string() && find_test(text_of(a[0])) != nullptr);
}
Value none(Interp&, Bound& a) { return yes_or_no(a[0].is_none()); }
Value boolean(Interp&, Bound& a) { return yes_or_no(a[0].is(Kind::kBool)); }
Value is_true(Interp&, Bound& a) { return yes_or_no(a[0].is(Kind::kBool) && a[0].as_bool()); }
Value is_false(Interp&, Bound& a) { return yes_or_no(a[0].is(Kind::kBool) && !a[0].as_bool()); }
Value integer(Interp&, Bound& a) { return yes_or_no(a[0].is(Kind::kInt)); }
Value is_float(Interp&, Bound& a) { return yes_or_no(a[0].is(Kind::kFloat)); }
Value number(Interp&, Bound& a) { return yes_or_no(a[0].is_number()); }
Value string(Interp&, Bound& a) { return yes_or_no(a[0].is_string()); }
Value mapping(Interp&, Bound& a) { return yes_or_no(a[0].is(Kind::kDict)); }
Value iterable(Interp&, Bound& a) { return yes_or_no(is_iterable(a[0])); }
Value callable(Interp&, Bound& a) {
  return yes_or_no(a[0].is(Kind::kCallable) || a[0].is(Kind::kLoop) || a[0].is_undefined());
}
Value sequence(Interp&, Bound& a) {
  switch (a[0].kind()) {
    case Kind::kUndefined:
    case Kind::kString:
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kDict:
    case Kind::kRange:
      return yes_or_no(true);
    default:
      return yes_or_no(false);
  }
}
Value same_as(Interp&, Bound& a) { return yes_or_no(identical(a[0], a[1])); }
Value escaped(Interp&, Bound& a) { return yes_or_no(is_markup(a[0])); }
Value in(Interp& interp, Bound& a) { return yes_or_no(contains(interp, a[1], a[0])); }

// All letters of that case, and at least one.
bool all_cased(std::string_view text, bool lower_wanted) {
  bool any = false;
  for (size_t at = 0; at < text.size();) {
    const char32_t c = next_char(text, at);
    if (is_title(c) || (lower_wanted ? is_upper(c) : is_lower(c))) return false;
    any = any || (lower_wanted ? is_lower(c) : is_upper(c));
  }
  return any;
}
Value is_lower_text(Interp& interp, Bound& a) {
  return yes_or_no(all_cased(str_of(interp.budget(), a[0]), true));
}
Value is_upper_text(Interp& interp, Bound& a) {
  return yes_or_no(all_cased(str_of(interp.budget(), a[0]), false));
}

template <Op kOp>
Value compared(Interp& interp, Bound& a) {
  return yes_or_no(compare(interp.budget(), kOp, a[0], a[1]));
}

constexpr Builtin kTable[] = {
    {"defined", "value", defined},
    {"undefined", "value", undefined},
    {"string", "value", string},
    {"mapping", "value", mapping},
    {"none", "value", none},
    {"iterable", "value", iterable},
    {"sequence", "value", sequence},
    {"true", "value", is_true},
    {"false", "value", is_false},
    {"boolean", "value", boolean},
    {"number", "value", number},
    {"integer", "value", integer},
    {"float", "value", is_float},
    {"odd", "value", odd},
    {"even", "value", even},
    {"divisibleby", "value num", divisibleby},
    {"in", "value seq", in},
    {"lower", "value", is_lower_text},
    {"upper", "value", is_upper_text},
    {"callable", "/ obj", callable},
    {"sameas", "value other", same_as},
    {"escaped", "value", escaped},
    {"filter", "value", is_filter},
    {"test", "value", is_test},
    {"==", "/ a b", compared<Op::kEq>},
    {"eq", "/ a b", compared<Op::kEq>},
    {"equalto", "/ a b", compared<Op::kEq>},
    {"!=", "/ a b", compared<Op::kNe>},
    {"ne", "/ a b", compared<Op::kNe>},
    {">", "/ a b", compared<Op::kGt>},
    {"gt", "/ a b", compared<Op::kGt>},
    {"greaterthan", "/ a b", compared<Op::kGt>},
    {">=", "/ a b", compared<Op::kGe>},
    {"ge", "/ a b", compared<Op::kGe>},
    {"<", "/ a b", compared<Op::kLt>},
    {"lt", "/ a b", compared<Op::kLt>},
    {"lessthan", "/ a b", compared<Op::kLt>},
    {"<=", "/ a b", compared<Op::kLe>},
    {"le", "/ a b", compared<Op::kLe>},
};

}  // namespace

BuiltinTable tests() { return {kTable, std::size(kTable)}; }

}  // namespace quipu::jinja
