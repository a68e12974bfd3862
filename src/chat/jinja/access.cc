// Attributes, items and slices, with what the sandbox refuses.
#include <algorithm>
#include <array>

#include "chat/jinja/interp.h"
#include "chat/jinja/ops.h"
#include "chat/jinja/unicode.h"

namespace quipu::jinja {

namespace {

constexpr std::array<std::string_view, 5> kDictMutators = {"clear", "pop", "popitem", "setdefault", "update"};
constexpr std::array<std::string_view, 8> kListMutators = {"append", "clear", "pop",    "reverse",
                                                           "insert", "sort",  "extend", "remove"};

bool is_dunder(std::string_view name) {
  return name.size() > 4 && name.starts_with("__") && name.ends_with("__");
}

// Special names that an undefined value has too; any other is looked for among the items, which it does not
// have.
constexpr std::array<std::string_view, 24> kSpecialOfUndefined = {
    "__class__", "__doc__",    "__init__",  "__new__",  "__str__",    "__repr__",
    "__hash__",  "__eq__",     "__ne__",    "__lt__",   "__le__",     "__gt__",
    "__ge__",    "__len__",    "__iter__",  "__bool__", "__call__",   "__getitem__",
    "__add__",   "__module__", "__slots__", "__dir__",  "__format__", "__getattr__"};

bool is_mutator(const Value& object, std::string_view name) {
  if (object.is(Kind::kDict))
    return std::find(kDictMutators.begin(), kDictMutators.end(), name) != kDictMutators.end();
  if (object.is(Kind::kList))
    return std::find(kListMutators.begin(), kListMutators.end(), name) != kListMutators.end();
  return false;
}

Value unsafe(Heap& heap, const Value& object, std::string_view name) {
  return Value::of(Kind::kUndefined,
                   new Undefined(heap,
                                 fmt::format("access to attribute {} of '{}' object is unsafe.",
                                             python_quoted(name), type_name(object)),
                                 true));
}

Value data_attribute(const Value& object, std::string_view name) {
  switch (object.kind()) {
    case Kind::kBool:
    case Kind::kInt:
      if (name == "real" || name == "numerator") return Value::integer(object.as_int());
      if (name == "imag") return Value::integer(0);
      if (name == "denominator") return Value::integer(1);
      break;
    case Kind::kFloat:
      if (name == "real") return object;
      if (name == "imag") return Value::number(0);
      break;
    case Kind::kTuple:
      if (object.as<List>().group() && name == "grouper") return items_of(object)[0];
      if (object.as<List>().group() && name == "list") return items_of(object)[1];
      break;
    case Kind::kRange:
      if (name == "start") return Value::integer(object.as<Range>().start);
      if (name == "stop") return Value::integer(object.as<Range>().stop);
      if (name == "step") return Value::integer(object.as<Range>().step);
      break;
    case Kind::kNamespace: {
      const Value* found = object.as<Namespace>().dict().find(name);
      if (found != nullptr) return *found;
      break;
    }
    case Kind::kView:
      if (name == "mapping") return object.as<View>().dict;
      break;
    case Kind::kCallable:
      return object.as<Callable>().attribute(name);
    case Kind::kLoop:
      return object.as<LoopContext>().attribute(name);
    case Kind::kCycler: {
      const auto& c = object.as<Cycler>();
      if (name == "items") return c.items;
      if (name == "pos") return Value::integer(static_cast<Int>(c.position));
      if (name == "current") return items_of(c.items)[c.position];
      break;
    }
    default:
      break;
  }
  return {};
}

// Python's object[key] where it gives a value; missing for its TypeError and LookupError.
Value subscript(Interp& interp, const Value& object, const Value& key) {
  Heap& heap = interp.heap();
  switch (object.kind()) {
    case Kind::kDict: {
      if (key.is(Kind::kList) || key.is(Kind::kDict)) return {};
      try {
        const Value* found = object.as<Dict>().find(key);
        return found == nullptr ? Value() : *found;
      } catch (const Failure& f) {
        if (f.fault != Fault::kType) throw;
        return {};  // a tuple that holds a list
      }
    }
    case Kind::kUndefined:
      object.as<Undefined>().raise();
    case Kind::kSelf:
      if (key.is_string()) {
        for (const BlockStmt* block : interp.program().blocks)
          if (block->name == text_of(key))
            return Value::of(Kind::kCallable,
                             new BlockReference(heap, *block, object.as<SelfReference>().context));
      }
      return {};
    case Kind::kString:
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kRange:
      break;
    default:
      return {};
  }
  if (!key.is_integral()) return {};
  const Int length = static_cast<Int>(length_of(object));
  Int i = key.as_int();
  if (i < 0) i += length;
  if (i < 0 || i >= length) return {};
  switch (object.kind()) {
    case Kind::kString:
      return make_string_like(object, std::string(sub_chars(object, static_cast<size_t>(i), 1)));
    case Kind::kRange:
      return Value::integer(object.as<Range>().start + i * object.as<Range>().step);
    default:
      return items_of(object)[static_cast<size_t>(i)];
  }
}

Value undefined_member(Heap& heap, const Value& object, std::string_view name) {
  return make_undefined(heap,
                        fmt::format("'{}' has no attribute {}", described_type(object), python_quoted(name)));
}

}  // namespace

Value find_attribute(Interp& interp, const Value& object, std::string_view name) {
  Heap& heap = interp.heap();
  if (object.is_undefined()) {
    if (std::find(kSpecialOfUndefined.begin(), kSpecialOfUndefined.end(), name) == kSpecialOfUndefined.end())
      object.as<Undefined>().raise();
    return unsafe(heap, object, name);
  }
  if (is_dunder(name) && !(object.is(Kind::kNamespace) && name != "__class__"))
    return unsafe(heap, object, name);
  if (is_mutator(object, name)) return unsafe(heap, object, name);
  if (Value data = data_attribute(object, name); !data.missing()) {
    if (name.starts_with('_')) return unsafe(heap, object, name);
    return data;
  }
  if (object.is(Kind::kNamespace)) return {};
  if (const Builtin* method = find_method(object, name))
    return Value::of(Kind::kCallable, new BoundMethod(heap, object, *method));
  return {};
}

Value get_attribute(Interp& interp, const Value& object, std::string_view name) {
  interp.budget().step();
  // Most often: a key of a dict that is no method's name.
  if (object.is(Kind::kDict) && !is_dunder(name) && find_method(object, name) == nullptr &&
      !is_mutator(object, name)) {
    const Value* found = object.as<Dict>().find(name);
    return found != nullptr ? *found : undefined_member(interp.heap(), object, name);
  }
  if (Value found = find_attribute(interp, object, name); !found.missing()) return found;
  if (object.is(Kind::kSelf) || object.is(Kind::kDict)) {
    Value found = subscript(interp, object, make_string(interp.heap(), std::string(name)));
    if (!found.missing()) return found;
  }
  return undefined_member(interp.heap(), object, name);
}

Value get_item(Interp& interp, const Value& object, const Value& key) {
  interp.budget().step();
  if (Value found = subscript(interp, object, key); !found.missing()) return found;
  if (key.is_string()) {
    if (Value found = find_attribute(interp, object, text_of(key)); !found.missing()) return found;
    return undefined_member(interp.heap(), object, text_of(key));
  }
  return make_undefined(interp.heap(), fmt::format("{} has no element {}", described_type(object),
                                                   repr_of(interp.budget(), key)));
}

SliceSpan slice_span(Int length, const Value& start, const Value& stop, const Value& step) {
  const auto index = [](const Value& v) -> Int {
    if (v.is_integral()) return v.as_int();
    if (v.is_undefined())
      fail(Fault::kType, "slice indices must be integers or None or have an __index__ method");
    fail(Fault::kType, "slice indices must be integers or None or have an __index__ method");
  };
  const auto given = [](const Value& v) { return !v.missing() && !v.is_none(); };
  constexpr Int kHuge = Int{1} << 100;
  Int by = given(step) ? std::clamp(index(step), -kHuge, kHuge) : 1;
  if (by == 0) fail(Fault::kValue, "slice step cannot be zero");
  const auto place = [&](const Value& v, Int fallback) {
    if (!given(v)) return fallback;
    Int i = std::clamp(index(v), -kHuge, kHuge);
    if (i < 0) i += length;
    return std::clamp<Int>(i, by > 0 ? 0 : -1, by > 0 ? length : length - 1);
  };
  const Int from = place(start, by > 0 ? 0 : length - 1);
  const Int to = place(stop, by > 0 ? length : -1);
  Int count = 0;
  if (by > 0 && from < to) count = (to - from - 1) / by + 1;
  if (by < 0 && from > to) count = (from - to - 1) / -by + 1;
  return {from, to, by, count};
}

Value get_slice(Interp& interp, const Value& object, const Value& start, const Value& stop,
                const Value& step) {
  Heap& heap = interp.heap();
  Budget& budget = interp.budget();
  if (object.is_undefined()) object.as<Undefined>().raise();
  const bool subscriptable = object.is_string() || is_sequence(object) || object.is(Kind::kRange);
  if (!subscriptable) {
    if (object.is(Kind::kDict)) fail(Fault::kType, "unhashable type: 'slice'");
    fail(Fault::kType, "'{}' object is not subscriptable", type_name(object));
  }
  const SliceSpan span = slice_span(static_cast<Int>(length_of(object)), start, stop, step);
  const auto n = static_cast<size_t>(span.count);
  if (object.is(Kind::kRange)) {
    const auto& r = object.as<Range>();
    const Int first = r.start + span.start * r.step;
    Int by = 0;
    if (__builtin_mul_overflow(span.step, r.step, &by)) fail(Fault::kOverflow, "the integer is too large");
    return Value::of(Kind::kRange, new Range(heap, first, r.start + span.stop * r.step, by, span.count));
  }
  if (object.is_string()) {
    const std::string_view text = text_of(object);
    if (span.step == 1 || n <= 1)
      return make_string_like(object, std::string(sub_chars(object, static_cast<size_t>(span.start), n)));
    TextBuilder out(budget);
    if (object.as<String>().ascii()) {
      for (size_t i = 0; i < n; ++i)
        out.add(text[static_cast<size_t>(span.start + static_cast<Int>(i) * span.step)]);
      return make_string_like(object, out.take());
    }
    // Where each character begins, so that it can go backwards and in leaps.
    budget.work(text.size() * sizeof(uint32_t));
    budget.check_size(text.size() * sizeof(uint32_t));
    std::vector<uint32_t> starts;
    for (size_t at = 0; at < text.size(); at += char_bytes(text[at]))
      starts.push_back(static_cast<uint32_t>(at));
    for (size_t i = 0; i < n; ++i) {
      const size_t at = starts[static_cast<size_t>(span.start + static_cast<Int>(i) * span.step)];
      out.add(text.substr(at, char_bytes(text[at])));
    }
    return make_string_like(object, out.take());
  }
  const auto& from = items_of(object);
  budget.step(n);
  std::vector<Value> items;
  items.reserve(n);
  for (size_t i = 0; i < n; ++i)
    items.push_back(from[static_cast<size_t>(span.start + static_cast<Int>(i) * span.step)]);
  return object.is(Kind::kList) ? make_list(heap, std::move(items)) : make_tuple(heap, std::move(items));
}

}  // namespace quipu::jinja
