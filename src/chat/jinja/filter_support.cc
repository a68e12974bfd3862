#include "chat/jinja/filter_support.h"

#include <algorithm>

#include "chat/jinja/literal.h"
#include "chat/jinja/merge_sort.h"
#include "chat/jinja/unicode.h"

namespace quipu::jinja {

AttributePath::AttributePath(Interp& interp, const Value& attribute) {
  if (attribute.is_none() || attribute.missing()) return;
  if (!attribute.is_string()) {
    parts_.push_back(attribute);
    return;
  }
  std::string_view rest = text_of(attribute);
  while (true) {
    const size_t dot = std::min(rest.find('.'), rest.size());
    const std::string_view part = rest.substr(0, dot);
    const bool number =
        !part.empty() && std::all_of(part.begin(), part.end(), [](char c) { return c >= '0' && c <= '9'; });
    bool overflow = false;
    const auto index = number ? parse_int(part, 10, overflow) : std::nullopt;
    interp.budget().step();
    parts_.push_back(index ? Value::integer(*index) : make_string(interp.heap(), std::string(part)));
    if (dot == rest.size()) break;
    rest.remove_prefix(dot + 1);
  }
}

Value AttributePath::get(Interp& interp, const Value& item, const Value& fallback) const {
  Value value = item;
  for (const Value& part : parts_) {
    value = get_item(interp, value, part);
    if (value.is_undefined() && !fallback.missing() && !fallback.is_none()) value = fallback;
  }
  return value;
}

Value ignore_case(Heap& heap, const Value& value) {
  if (!value.is_string()) return value;
  heap.budget().work(text_of(value).size());
  return make_string_like(value, to_lower(text_of(value)));
}

std::vector<size_t> sorted_order(Budget& budget, const std::vector<Value>& keys, bool reverse) {
  return merge_sorted(keys.size(), [&](size_t a, size_t b) {
    return reverse ? compare(budget, Op::kLt, keys[b], keys[a]) : compare(budget, Op::kLt, keys[a], keys[b]);
  });
}

Value call_named(Interp& interp, const Builtin* builtin, const Value& item, const Args& args) {
  Args all;
  all.positional.reserve(args.positional.size() + 1);
  all.positional.push_back(item);
  all.positional.insert(all.positional.end(), args.positional.begin(), args.positional.end());
  all.named = args.named;
  return interp.call_builtin(*builtin, std::move(all));
}

}  // namespace quipu::jinja
