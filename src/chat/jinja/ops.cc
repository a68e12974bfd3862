#include "chat/jinja/ops.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "chat/jinja/iterate.h"
#include "chat/jinja/objects.h"
#include "chat/jinja/text.h"
#include "chat/jinja/unicode.h"

namespace quipu::jinja {

std::string_view type_name(const Value& value) {
  switch (value.kind()) {
    case Kind::kMissing:
      return "MissingType";
    case Kind::kNone:
      return "NoneType";
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
      return "int";
    case Kind::kFloat:
      return "float";
    case Kind::kUndefined:
      return "Undefined";
    case Kind::kString:
      return is_markup(value) ? "Markup" : "str";
    case Kind::kList:
      return "list";
    case Kind::kTuple:
      return value.as<List>().group() ? "_GroupTuple" : "tuple";
    case Kind::kDict:
      return "dict";
    case Kind::kRange:
      return "range";
    case Kind::kNamespace:
      return "Namespace";
    case Kind::kView: {
      const View::Of of = value.as<View>().of;
      return of == View::Of::kKeys ? "dict_keys" : of == View::Of::kValues ? "dict_values" : "dict_items";
    }
    case Kind::kIterator:
      return value.as<Iterator>().type_name();
    case Kind::kCallable:
      return value.as<Callable>().type_name();
    case Kind::kLoop:
      return "LoopContext";
    case Kind::kCycler:
      return "Cycler";
    case Kind::kSelf:
      return "TemplateReference";
  }
  return "object";
}

std::string described_type(const Value& value) {
  if (value.is_none()) return "None";
  const std::string_view name = type_name(value);
  std::string_view module;
  if (name == "Namespace" || name == "Cycler" || name == "Joiner") module = "jinja2.utils.";
  if (name == "Macro" || name == "LoopContext" || name == "TemplateReference" || name == "BlockReference")
    module = "jinja2.runtime.";
  if (name == "Markup") module = "markupsafe.";
  if (name == "_GroupTuple") module = "jinja2.filters.";
  return fmt::format("{}{} object", module, name);
}

bool truth(const Value& value) {
  switch (value.kind()) {
    case Kind::kMissing:
    case Kind::kNone:
    case Kind::kUndefined:
      return false;
    case Kind::kBool:
      return value.as_bool();
    case Kind::kInt:
      return value.as_int() != 0;
    case Kind::kFloat:
      return value.as_float() != 0;
    default:
      return !has_length(value) || length_of(value) != 0;
  }
}

bool has_length(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
    case Kind::kString:
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kDict:
    case Kind::kRange:
    case Kind::kView:
    case Kind::kLoop:
      return true;
    default:
      return false;
  }
}

size_t length_of(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return 0;
    case Kind::kString:
      return value.as<String>().length();
    case Kind::kList:
    case Kind::kTuple:
      return items_of(value).size();
    case Kind::kDict:
      return value.as<Dict>().entries().size();
    case Kind::kRange:
      return static_cast<size_t>(value.as<Range>().length);
    case Kind::kView:
      return value.as<View>().dict.as<Dict>().entries().size();
    case Kind::kLoop:
      return static_cast<size_t>(value.as<LoopContext>().length());
    default:
      fail(Fault::kType, "object of type '{}' has no len()", type_name(value));
  }
}

// ---- equality and order

namespace {

// -1, 0, 1; 2 if one is not a number.
int compare_int_float(Int i, double d) {
  if (std::isnan(d)) return 2;
  if (d >= 0x1p127) return -1;
  if (d < -0x1p127) return 1;
  const double floor = std::floor(d);
  const Int whole = static_cast<Int>(floor);
  if (i != whole) return i < whole ? -1 : 1;
  return floor < d ? -1 : 0;
}

int compare_numbers(const Value& a, const Value& b) {
  const bool float_a = a.is(Kind::kFloat), float_b = b.is(Kind::kFloat);
  if (float_a && float_b) {
    const double x = a.as_float(), y = b.as_float();
    return x < y ? -1 : x > y ? 1 : x == y ? 0 : 2;
  }
  if (float_a) {
    const int c = compare_int_float(b.as_int(), a.as_float());
    return c == 2 ? 2 : -c;
  }
  if (float_b) return compare_int_float(a.as_int(), b.as_float());
  return a.as_int() < b.as_int() ? -1 : a.as_int() > b.as_int() ? 1 : 0;
}

bool equal_dicts(Budget& budget, const Dict& a, const Dict& b) {
  if (a.entries().size() != b.entries().size()) return false;
  return std::all_of(a.entries().begin(), a.entries().end(), [&](const Dict::Entry& e) {
    const Value* other = b.find(e.first);
    return other != nullptr && equal(budget, e.second, *other);
  });
}

bool equal_views(Budget& budget, const View& a, const View& b) {
  if (a.of != b.of || a.of == View::Of::kValues) return &a == &b;
  const Dict &x = a.dict.as<Dict>(), &y = b.dict.as<Dict>();
  if (a.of == View::Of::kItems) return equal_dicts(budget, x, y);
  return x.entries().size() == y.entries().size() &&
         std::all_of(x.entries().begin(), x.entries().end(),
                     [&](const Dict::Entry& e) { return y.find(e.first) != nullptr; });
}

std::string_view symbol(Op op) {
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
    case Op::kPow:
      return "** or pow()";
    case Op::kLt:
      return "<";
    case Op::kLe:
      return "<=";
    case Op::kGt:
      return ">";
    case Op::kGe:
      return ">=";
    default:
      return "==";
  }
}

bool holds(Op op, int order) {
  if (order == 2) return false;
  switch (op) {
    case Op::kLt:
      return order < 0;
    case Op::kLe:
      return order <= 0;
    case Op::kGt:
      return order > 0;
    default:
      return order >= 0;
  }
}

}  // namespace

bool identical(const Value& a, const Value& b) {
  if (a.kind() != b.kind()) return false;
  if (a.is_string()) {
    // Python keeps one copy of the empty string and of single Latin-1 characters.
    const std::string& text = text_of(a);
    return a.object() == b.object() ||
           (is_markup(a) == is_markup(b) && text == text_of(b) && text.size() <= 2 &&
            (text.empty() || a.as<String>().length() == 1) && (text.empty() || char_bytes(text[0]) <= 2));
  }
  if (a.is(Kind::kTuple) && items_of(a).empty() && items_of(b).empty()) return true;
  if (a.is(Kind::kCallable)) {
    const auto* x = dynamic_cast<const BoundMethod*>(a.object());
    const auto* y = dynamic_cast<const BoundMethod*>(b.object());
    if (x != nullptr && y != nullptr) return false;  // each access makes a new one
  }
  if (a.is_object()) return a.object() == b.object();
  if (a.is(Kind::kFloat))
    return __builtin_bit_cast(uint64_t, a.as_float()) == __builtin_bit_cast(uint64_t, b.as_float());
  return a.as_int() == b.as_int();
}

bool equal(Budget& budget, const Value& a, const Value& b) {
  budget.step();
  if (a.is_number() && b.is_number()) return compare_numbers(a, b) == 0;
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::kMissing:
    case Kind::kNone:
    case Kind::kUndefined:
      return true;
    case Kind::kString:
      if (text_of(a).size() != text_of(b).size()) return false;
      budget.work(text_of(a).size());
      return text_of(a) == text_of(b);
    default:
      break;
  }
  if (a.object() == b.object()) return true;
  const Nested nested(budget);
  switch (a.kind()) {
    case Kind::kList:
    case Kind::kTuple: {
      const auto &x = items_of(a), &y = items_of(b);
      return x.size() == y.size() &&
             std::equal(x.begin(), x.end(), y.begin(),
                        [&](const Value& v, const Value& w) { return equal(budget, v, w); });
    }
    case Kind::kDict:
      return equal_dicts(budget, a.as<Dict>(), b.as<Dict>());
    case Kind::kRange: {
      const auto &x = a.as<Range>(), &y = b.as<Range>();
      return x.length == y.length &&
             (x.length == 0 || (x.start == y.start && (x.length == 1 || x.step == y.step)));
    }
    case Kind::kView:
      return equal_views(budget, a.as<View>(), b.as<View>());
    case Kind::kCallable: {
      const auto* x = dynamic_cast<const BoundMethod*>(a.object());
      const auto* y = dynamic_cast<const BoundMethod*>(b.object());
      return x != nullptr && y != nullptr && x->same_as(*y);
    }
    default:
      return false;
  }
}

bool compare(Budget& budget, Op op, const Value& a, const Value& b) {
  if (op == Op::kEq) return equal(budget, a, b);
  if (op == Op::kNe) return !equal(budget, a, b);
  budget.step();
  if (a.is_number() && b.is_number()) return holds(op, compare_numbers(a, b));
  if (a.is_string() && b.is_string()) {
    budget.work(std::min(text_of(a).size(), text_of(b).size()));
    const int order = text_of(a).compare(text_of(b));  // bytes of UTF-8 are ordered as the characters are
    return holds(op, order < 0 ? -1 : order > 0 ? 1 : 0);
  }
  if (is_sequence(a) && a.kind() == b.kind()) {
    const Nested nested(budget);
    const auto &x = items_of(a), &y = items_of(b);
    for (size_t i = 0; i < x.size() && i < y.size(); ++i)
      if (!equal(budget, x[i], y[i])) return compare(budget, op, x[i], y[i]);
    return holds(op, x.size() < y.size() ? -1 : x.size() > y.size() ? 1 : 0);
  }
  if (a.is_undefined()) a.as<Undefined>().raise();
  if (b.is_undefined()) b.as<Undefined>().raise();
  fail(Fault::kType, "'{}' not supported between instances of '{}' and '{}'", symbol(op), type_name(a),
       type_name(b));
}

// ---- hashing

uint64_t hash_text(std::string_view text) { return std::hash<std::string_view>()(text); }

namespace {
uint64_t mix(uint64_t h) {
  h ^= h >> 32;
  h *= 0x9e3779b97f4a7c15ull;
  return h ^ h >> 29;
}
}  // namespace

uint64_t hash_of(Budget& budget, const Value& value) {
  switch (value.kind()) {
    case Kind::kFloat: {
      // Equal numbers hash alike, whatever their type.
      const double d = value.as_float();
      if (std::floor(d) != d || std::abs(d) >= 0x1p126) return mix(__builtin_bit_cast(uint64_t, d));
      return mix(static_cast<uint64_t>(static_cast<Int>(d)));
    }
    case Kind::kBool:
    case Kind::kInt:
      return mix(static_cast<uint64_t>(value.as_int()));
    case Kind::kString:
      budget.work(text_of(value).size());
      return hash_text(text_of(value));
    case Kind::kTuple: {
      const Nested nested(budget);
      uint64_t h = 0x345678;
      for (const Value& item : items_of(value)) h = mix(h * 1000003 + hash_of(budget, item));
      return h;
    }
    case Kind::kRange:
      return mix(static_cast<uint64_t>(value.as<Range>().length));
    case Kind::kList:
    case Kind::kDict:
      fail(Fault::kType, "unhashable type: '{}'", type_name(value));
    case Kind::kView:
      if (value.as<View>().of != View::Of::kValues)
        fail(Fault::kType, "unhashable type: '{}'", type_name(value));
      [[fallthrough]];
    default: {
      if (!value.is_object() || value.is_undefined()) return mix(static_cast<uint64_t>(value.kind()));
      if (value.is(Kind::kCallable) && dynamic_cast<const BoundMethod*>(value.object()) != nullptr) return 1;
      return mix(reinterpret_cast<uintptr_t>(value.object()));
    }
  }
}

// ---- small helpers

std::string_view sub_chars(const Value& string, size_t from, size_t n) {
  const auto& s = string.as<String>();
  const std::string_view text = s.bytes();
  if (s.ascii()) return from >= text.size() ? std::string_view() : text.substr(from, n);
  s.heap().budget().work(text.size());
  const size_t start = char_offset(text, from);
  return text.substr(start, char_offset(text.substr(start), n));
}

Int need_int(const Value& value, std::string_view what) {
  if (value.is_integral()) return value.as_int();
  if (value.is_undefined()) value.as<Undefined>().raise();
  fail(Fault::kType, "{}: '{}' object cannot be interpreted as an integer", what, type_name(value));
}

int need_small_int(const Value& value, std::string_view what) {
  const Int i = need_int(value, what);
  constexpr Int kMax = std::numeric_limits<int>::max();
  return static_cast<int>(std::clamp<Int>(i, -kMax, kMax));
}

const std::string& need_text(const Value& value, std::string_view what) {
  if (value.is_string()) return text_of(value);
  fail(Fault::kType, "{} must be str, not {}", what, type_name(value));
}

}  // namespace quipu::jinja
