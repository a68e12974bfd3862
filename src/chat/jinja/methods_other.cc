// Methods of everything but text: mappings, sequences, numbers, loop and cycler.
#include <algorithm>
#include <cmath>

#include "chat/jinja/filter_support.h"
#include "chat/jinja/iterate.h"

namespace quipu::jinja {

namespace {

// ---- dict

Value get(Interp&, Bound& a) {
  const Value* found = a[0].as<Dict>().find(a[1]);
  if (found != nullptr) return *found;
  return a.has(2) ? a[2] : Value::none();
}

template <View::Of kOf>
Value view(Interp& interp, Bound& a) {
  return Value::of(Kind::kView, new View(interp.heap(), a[0], kOf));
}

// Nothing changes a dict once it is there, so a copy is not needed for its own sake; but it is another
// object.
Value copy_dict(Interp& interp, Bound& a) {
  Value out = make_dict(interp.heap());
  for (const auto& [key, value] : a[0].as<Dict>().entries()) out.as<Dict>().set(key, value);
  return out;
}

Value fromkeys(Interp& interp, Bound& a) {
  Value out = make_dict(interp.heap());
  const Value value = a.has(2) ? a[2] : Value::none();
  for_each(interp.heap(), a[1], [&](const Value& key) { out.as<Dict>().set(key, value); });
  return out;
}

// ---- list, tuple, range

Value count(Interp& interp, Bound& a) {
  Int n = 0;
  for_each(interp.heap(), a[0], [&](const Value& item) {
    n += identical(item, a[1]) || equal(interp.budget(), item, a[1]) ? 1 : 0;
  });
  return Value::integer(n);
}

Value index(Interp& interp, Bound& a) {
  const auto& items = items_of(a[0]);
  const auto n = static_cast<Int>(items.size());
  const auto place = [&](size_t i, Int fallback) {
    if (!a.has(i)) return fallback;
    const Int at = need_int(a[i], "slice indices");
    return std::clamp<Int>(at < 0 ? std::max<Int>(at, -n) + n : at, 0, n);
  };
  const Int end = place(3, n);
  for (Int i = place(2, 0); i < end; ++i) {
    const Value& item = items[static_cast<size_t>(i)];
    if (identical(item, a[1]) || equal(interp.budget(), item, a[1])) return Value::integer(i);
  }
  fail(Fault::kValue, "{} is not in {}", repr_of(interp.budget(), a[1]), type_name(a[0]));
}

Value range_index(Interp& interp, Bound& a) {
  Int i = 0, found = -1;
  for_each(interp.heap(), a[0], [&](const Value& item) {
    if (found < 0 && equal(interp.budget(), item, a[1])) found = i;
    ++i;
  });
  if (found < 0) fail(Fault::kValue, "{} is not in range", repr_of(interp.budget(), a[1]));
  return Value::integer(found);
}

Value copy_list(Interp& interp, Bound& a) {
  interp.budget().step(items_of(a[0]).size());
  return make_list(interp.heap(), items_of(a[0]));
}

// ---- numbers

unsigned __int128 magnitude(Int i) {
  return i < 0 ? -static_cast<unsigned __int128>(i) : static_cast<unsigned __int128>(i);
}

Value bit_length(Interp&, Bound& a) {
  Int n = 0;
  for (auto m = magnitude(a[0].as_int()); m != 0; m >>= 1) ++n;
  return Value::integer(n);
}

Value bit_count(Interp&, Bound& a) {
  Int n = 0;
  for (auto m = magnitude(a[0].as_int()); m != 0; m >>= 1) n += static_cast<Int>(m & 1);
  return Value::integer(n);
}

Value conjugate(Interp&, Bound& a) { return a[0].is(Kind::kFloat) ? a[0] : Value::integer(a[0].as_int()); }

Value as_integer_ratio(Interp& interp, Bound& a) {
  return make_tuple(interp.heap(), {Value::integer(a[0].as_int()), Value::integer(1)});
}

Value is_integer(Interp&, Bound& a) {
  return Value::boolean(std::isfinite(a[0].as_float()) && std::floor(a[0].as_float()) == a[0].as_float());
}

// ---- loop, cycler

Value cycle(Interp&, Bound& a) { return a[0].as<LoopContext>().cycle(a.rest.positional); }
Value changed(Interp& interp, Bound& a) {
  return Value::boolean(
      a[0].as<LoopContext>().changed(make_tuple(interp.heap(), std::move(a.rest.positional))));
}

Value next(Interp&, Bound& a) {
  auto& c = a[0].as<Cycler>();
  const auto& items = items_of(c.items);
  Value item = items[c.position];
  c.position = (c.position + 1) % items.size();
  return item;
}
Value reset(Interp&, Bound& a) {
  a[0].as<Cycler>().position = 0;
  return Value::none();
}

constexpr Builtin kDict[] = {
    {"get", "/ self key default=", get},
    {"items", "/ self", view<View::Of::kItems>},
    {"keys", "/ self", view<View::Of::kKeys>},
    {"values", "/ self", view<View::Of::kValues>},
    {"copy", "/ self", copy_dict},
    {"fromkeys", "/ self keys value=", fromkeys},
};
constexpr Builtin kList[] = {
    {"count", "/ self value", count},
    {"index", "/ self value start= stop=", index},
    {"copy", "/ self", copy_list},
};
constexpr Builtin kTuple[] = {
    {"count", "/ self value", count},
    {"index", "/ self value start= stop=", index},
};
constexpr Builtin kRange[] = {
    {"count", "/ self value", count},
    {"index", "/ self value", range_index},
};
constexpr Builtin kInt[] = {
    {"bit_length", "/ self", bit_length},
    {"bit_count", "/ self", bit_count},
    {"conjugate", "/ self", conjugate},
    {"as_integer_ratio", "/ self", as_integer_ratio},
};
constexpr Builtin kFloat[] = {
    {"is_integer", "/ self", is_integer},
    {"conjugate", "/ self", conjugate},
};
constexpr Builtin kLoop[] = {
    {"cycle", "/ self *", cycle},
    {"changed", "/ self *", changed},
};
constexpr Builtin kCycler[] = {
    {"next", "/ self", next},
    {"reset", "/ self", reset},
};

}  // namespace

BuiltinTable dict_methods() { return {kDict, std::size(kDict)}; }
BuiltinTable list_methods() { return {kList, std::size(kList)}; }
BuiltinTable tuple_methods() { return {kTuple, std::size(kTuple)}; }
BuiltinTable range_methods() { return {kRange, std::size(kRange)}; }
BuiltinTable int_methods() { return {kInt, std::size(kInt)}; }
BuiltinTable float_methods() { return {kFloat, std::size(kFloat)}; }
BuiltinTable loop_methods() { return {kLoop, std::size(kLoop)}; }
BuiltinTable cycler_methods() { return {kCycler, std::size(kCycler)}; }

}  // namespace quipu::jinja
