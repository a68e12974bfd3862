// Filters over sequences and mappings as a whole.
#include <algorithm>

#include "chat/jinja/filter_support.h"
#include "chat/jinja/iterate.h"

namespace quipu::jinja {

namespace {

Value length(Interp&, Bound& args) { return Value::integer(static_cast<Int>(length_of(args[0]))); }

Value first(Interp& interp, Bound& args) {
  Value item;
  if (iterate(interp.heap(), args[0])->next(item)) return item;
  return make_undefined(interp.heap(), "No first item, sequence was empty.");
}

Value last(Interp& interp, Bound& args) {
  Heap& heap = interp.heap();
  const Value& v = args[0];
  if (is_sequence(v) && !items_of(v).empty()) return items_of(v).back();
  if (v.is_string() && !text_of(v).empty()) return get_item(interp, v, Value::integer(-1));
  bool reversible = false;
  const Value it = reversed(heap, v, reversible);
  if (!reversible) fail(Fault::kType, "'{}' object is not reversible", type_name(v));
  Value item;
  if (it.as<Iterator>().next(item)) return item;
  return make_undefined(heap, "No last item, sequence was empty.");
}

// A prompt has to come out the same every time: what "random" takes is fixed by the sequence's length.
Value random(Interp& interp, Bound& args) {
  const Value& v = args[0];
  if (!is_sequence(v) && !v.is_string() && !v.is(Kind::kRange))
    fail(Fault::kType, "'{}' object is not a sequence", type_name(v));
  const size_t n = length_of(v);
  if (n == 0) return make_undefined(interp.heap(), "No random item, sequence was empty.");
  return get_item(interp, v, Value::integer(static_cast<Int>(n * 2654435761u % n)));
}

Value list(Interp& interp, Bound& args) {
  return make_list(interp.heap(), to_vector(interp.heap(), args[0]));
}

Value reverse(Interp& interp, Bound& args) {
  Heap& heap = interp.heap();
  if (args[0].is_string()) return get_slice(interp, args[0], {}, {}, Value::integer(-1));
  bool reversible = false;
  if (Value it = reversed(heap, args[0], reversible); reversible) return it;
  if (!is_iterable(args[0])) fail(Fault::kRuntime, "argument must be iterable");
  std::vector<Value> items = to_vector(heap, args[0]);
  std::reverse(items.begin(), items.end());
  return make_list(heap, std::move(items));
}

Value join(Interp& interp, Bound& args) {
  Heap& heap = interp.heap();
  Budget& budget = interp.budget();
  const bool by_attribute = args.has(2) && !args[2].is_none();
  const AttributePath path = by_attribute ? AttributePath(interp, args[2]) : AttributePath();
  std::vector<Value> items;
  bool markup = args.has(1) && is_markup(args[1]);
  for_each(heap, args[0], [&](const Value& item) {
    add_item(budget, items, by_attribute ? path.get(interp, item) : item);
    markup = markup || is_markup(items.back());
  });
  markup = markup && interp.autoescape();
  const Value separator = args.has(1) ? args[1] : make_string(heap, {});
  TextBuilder out(budget);
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) markup ? add_escaped(out, separator) : add_str(out, separator);
    markup ? add_escaped(out, items[i]) : add_str(out, items[i]);
  }
  return markup ? make_markup(heap, out.take()) : make_string(heap, out.take());
}

Value sum(Interp& interp, Bound& args) {
  const bool by_attribute = args.has(1) && !args[1].is_none();
  const AttributePath path = by_attribute ? AttributePath(interp, args[1]) : AttributePath();
  Value total = args.has(2) ? args[2] : Value::integer(0);
  if (total.is_string()) fail(Fault::kType, "sum() can't sum strings [use ''.join(seq) instead]");
  for_each(interp.heap(), args[0], [&](const Value& item) {
    total = arithmetic(interp, Op::kAdd, total, by_attribute ? path.get(interp, item) : item);
  });
  return total;
}

Value extreme(Interp& interp, Bound& args, Op op) {
  Heap& heap = interp.heap();
  const bool case_sensitive = flag(args, 1);
  const AttributePath path(interp, args[2]);
  Value best, best_key;
  for_each(heap, args[0], [&](const Value& item) {
    Value key = path.get(interp, item);
    if (!case_sensitive) key = ignore_case(heap, key);
    if (!best.missing() && !compare(interp.budget(), op, key, best_key)) return;
    best = item;
    best_key = std::move(key);
  });
  return best.missing() ? make_undefined(heap, "No aggregated item, sequence was empty.") : best;
}
Value min(Interp& interp, Bound& args) { return extreme(interp, args, Op::kLt); }
Value max(Interp& interp, Bound& args) { return extreme(interp, args, Op::kGt); }

Value sort(Interp& interp, Bound& args) {
  Heap& heap = interp.heap();
  Budget& budget = interp.budget();
  const bool backwards = flag(args, 1), case_sensitive = flag(args, 2);
  // Several attributes, separated by commas, count one after the other.
  std::vector<AttributePath> paths;
  if (args.has(3) && args[3].is_string()) {
    std::string_view rest = text_of(args[3]);
    while (true) {
      const size_t comma = std::min(rest.find(','), rest.size());
      paths.emplace_back(interp, make_string(heap, std::string(rest.substr(0, comma))));
      if (comma == rest.size()) break;
      rest.remove_prefix(comma + 1);
    }
  } else {
    paths.emplace_back(interp, args[3]);
  }
  const std::vector<Value> items = to_vector(heap, args[0]);
  std::vector<Value> keys;
  for (const Value& item : items) {
    std::vector<Value> key;
    for (const AttributePath& path : paths) {
      Value part = path.get(interp, item);
      key.push_back(case_sensitive ? part : ignore_case(heap, part));
    }
    add_item(budget, keys, make_list(heap, std::move(key)));
  }
  std::vector<Value> sorted;
  sorted.reserve(items.size());
  for (const size_t i : sorted_order(budget, keys, backwards)) sorted.push_back(items[i]);
  return make_list(heap, std::move(sorted));
}

Value dictsort(Interp& interp, Bound& args) {
  Heap& heap = interp.heap();
  Budget& budget = interp.budget();
  const bool case_sensitive = flag(args, 1), backwards = flag(args, 3);
  bool by_value = false;
  if (args.has(2)) {
    by_value = args[2].is_string() && text_of(args[2]) == "value";
    if (!by_value && !(args[2].is_string() && text_of(args[2]) == "key"))
      fail(Fault::kRuntime, "You can only sort by either \"key\" or \"value\"");
  }
  if (args[0].is_undefined()) args[0].as<Undefined>().raise();
  if (!args[0].is(Kind::kDict))
    fail(Fault::kType, "'{}' object has no attribute 'items'", type_name(args[0]));
  const auto& entries = args[0].as<Dict>().entries();
  std::vector<Value> keys;
  for (const auto& [key, value] : entries) {
    const Value& part = by_value ? value : key;
    add_item(budget, keys, case_sensitive ? part : ignore_case(heap, part));
  }
  std::vector<Value> sorted;
  for (const size_t i : sorted_order(budget, keys, backwards))
    add_item(budget, sorted, make_tuple(heap, {entries[i].first, entries[i].second}));
  return make_list(heap, std::move(sorted));
}

Value groupby(Interp& interp, Bound& args) {
  Heap& heap = interp.heap();
  Budget& budget = interp.budget();
  const AttributePath path(interp, args[1]);
  const Value fallback = args[2];
  const bool case_sensitive = flag(args, 3);
  const std::vector<Value> items = to_vector(heap, args[0]);
  std::vector<Value> keys, shown;
  for (const Value& item : items) {
    add_item(budget, shown, path.get(interp, item, fallback));
    add_item(budget, keys, case_sensitive ? shown.back() : ignore_case(heap, shown.back()));
  }
  const std::vector<size_t> order = sorted_order(budget, keys, false);
  std::vector<Value> groups;
  for (size_t at = 0; at < order.size();) {
    std::vector<Value> members;
    const size_t start = at;
    while (at < order.size() && equal(budget, keys[order[at]], keys[order[start]]))
      members.push_back(items[order[at++]]);
    if (at == start) members.push_back(items[order[at++]]);  // not even equal to itself
    std::vector<Value> pair = {shown[order[start]], make_list(heap, std::move(members))};
    add_item(budget, groups, Value::of(Kind::kTuple, new List(heap, std::move(pair), true)));
  }
  return make_list(heap, std::move(groups));
}

Value default_value(Interp& interp, Bound& args) {
  if (!args[0].is_undefined() && !(flag(args, 2) && !truth(args[0]))) return args[0];
  return args.has(1) ? args[1] : make_string(interp.heap(), {});
}

Value attr(Interp& interp, Bound& args) {
  const std::string& name = need_text(args[1], "attribute name");
  if (Value found = find_attribute(interp, args[0], name); !found.missing()) return found;
  return make_undefined(
      interp.heap(), fmt::format("'{}' has no attribute {}", described_type(args[0]), python_quoted(name)));
}

constexpr Builtin kTable[] = {
    {"length", "/ obj", length},
    {"count", "/ obj", length},
    {"first", "seq", first},
    {"last", "seq", last},
    {"random", "seq", random},
    {"list", "value", list},
    {"reverse", "value", reverse},
    {"join", "value d= attribute=", join},
    {"sum", "iterable attribute= start=", sum},
    {"min", "value case_sensitive= attribute=", min},
    {"max", "value case_sensitive= attribute=", max},
    {"sort", "value reverse= case_sensitive= attribute=", sort},
    {"dictsort", "value case_sensitive= by= reverse=", dictsort},
    {"groupby", "value attribute default= case_sensitive=", groupby},
    {"default", "value default_value= boolean=", default_value},
    {"d", "value default_value= boolean=", default_value},
    {"attr", "obj name", attr},
};

}  // namespace

BuiltinTable sequence_filters() { return {kTable, std::size(kTable)}; }

}  // namespace quipu::jinja
