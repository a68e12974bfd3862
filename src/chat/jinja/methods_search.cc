// Methods of str that search, split and join.
#include <algorithm>
#include <array>

#include "chat/jinja/filter_support.h"
#include "chat/jinja/iterate.h"
#include "chat/jinja/lines.h"
#include "chat/jinja/search.h"
#include "chat/jinja/unicode.h"

namespace quipu::jinja {

namespace {

// The part of the text that optional arguments start and end choose; `from` is where it begins, in
// characters.
struct Part {
  std::string_view text;
  Int from = 0;
  bool valid = true;  // start is within the text, or at its end
};

Part part_of(const Value& self, const Bound& a, size_t first) {
  Part part{text_of(self)};
  const bool bounded = (a.has(first) && !a[first].is_none()) || (a.has(first + 1) && !a[first + 1].is_none());
  if (!bounded) return part;
  const auto length = static_cast<Int>(length_of(self));
  const auto place = [&](size_t i, Int fallback) {
    if (!a.has(i) || a[i].is_none()) return fallback;
    Int n = need_int(a[i], "slice index");
    if (n < 0) n = std::max<Int>(n > -length ? n + length : 0, 0);
    return n;
  };
  const Int start = place(first, 0), end = std::min(place(first + 1, length), length);
  part.from = start;
  part.valid = start <= length && start <= end;
  if (part.valid) part.text = sub_chars(self, static_cast<size_t>(start), static_cast<size_t>(end - start));
  return part;
}

Int find_in(Interp& interp, Bound& a, bool last) {
  const std::string& what = need_text(a[1], "must be str: the text to find");
  const Part part = part_of(a[0], a, 2);
  if (!part.valid) return -1;
  const size_t at =
      last ? rfind_text(interp.budget(), part.text, what) : find_text(interp.budget(), part.text, what, 0);
  return at == std::string_view::npos ? -1
                                      : part.from + static_cast<Int>(count_chars(part.text.substr(0, at)));
}
Value find(Interp& interp, Bound& a) { return Value::integer(find_in(interp, a, false)); }
Value rfind(Interp& interp, Bound& a) { return Value::integer(find_in(interp, a, true)); }
Value index_or_fail(Int i) {
  if (i < 0) fail(Fault::kValue, "substring not found");
  return Value::integer(i);
}
Value index(Interp& interp, Bound& a) { return index_or_fail(find_in(interp, a, false)); }
Value rindex(Interp& interp, Bound& a) { return index_or_fail(find_in(interp, a, true)); }

Value count(Interp& interp, Bound& a) {
  const std::string& what = need_text(a[1], "must be str: the text to count");
  const Part part = part_of(a[0], a, 2);
  return Value::integer(part.valid ? static_cast<Int>(count_text(interp.budget(), part.text, what)) : 0);
}

// One text, or a tuple of them.
Value begins_or_ends(Interp& interp, Bound& a, bool begins) {
  const Part part = part_of(a[0], a, 2);
  const auto fits = [&](const Value& v) {
    if (!v.is_string())
      fail(Fault::kType, "{} first arg must be str or a tuple of str, not {}",
           begins ? "startswith" : "endswith", type_name(v));
    interp.budget().work(text_of(v).size());
    return part.valid && (begins ? part.text.starts_with(text_of(v)) : part.text.ends_with(text_of(v)));
  };
  if (!a[1].is(Kind::kTuple)) return Value::boolean(fits(a[1]));
  const auto& items = items_of(a[1]);
  return Value::boolean(std::any_of(items.begin(), items.end(), fits));
}
Value startswith(Interp& interp, Bound& a) { return begins_or_ends(interp, a, true); }
Value endswith(Interp& interp, Bound& a) { return begins_or_ends(interp, a, false); }

Value replace(Interp& interp, Bound& a) {
  const std::string& what = need_text(a[1], "replace() argument 1");
  const std::string& by = need_text(a[2], "replace() argument 2");
  const Int n = a.has(3) ? need_int(a[3], "count") : -1;
  const std::string inserted = is_markup(a[0]) && !is_markup(a[2]) ? escape_html(by) : by;
  return make_string_like(a[0], replace_text(interp.budget(), text_of(a[0]), what, inserted, n));
}

// ---- splitting

Value pieces_of(Interp& interp, const Value& self, const std::vector<std::string_view>& pieces) {
  std::vector<Value> items;
  items.reserve(pieces.size());
  for (const std::string_view piece : pieces)
    add_item(interp.budget(), items, make_string_like(self, std::string(piece)));
  return make_list(interp.heap(), std::move(items));
}

void add_piece(Budget& budget, std::vector<std::string_view>& pieces, std::string_view piece) {
  budget.step();
  budget.check_size((pieces.size() + 1) * sizeof(Value));
  pieces.push_back(piece);
}

std::vector<std::string_view> split_at_space(Budget& budget, std::string_view text, Int n, bool from_right) {
  std::vector<std::string_view> pieces;
  budget.work(text.size());
  const auto trimmed = [&] { return from_right ? trim_right(text) : trim_left(text); };
  for (text = trimmed(); !text.empty(); text = trimmed()) {
    if (n == 0) {
      add_piece(budget, pieces, from_right ? trim_right(text) : text);
      break;
    }
    if (n > 0) --n;
    // The word at that end.
    size_t at = from_right ? text.size() : 0;
    while (from_right ? at > 0 : at < text.size()) {
      size_t next = at;
      if (is_space(from_right ? previous_char(text, next) : next_char(text, next))) break;
      at = next;
    }
    add_piece(budget, pieces, from_right ? text.substr(at) : text.substr(0, at));
    text = from_right ? text.substr(0, at) : text.substr(at);
  }
  return pieces;
}

// From the right it is the same on the text turned round: what overlaps counts from there.
std::vector<std::string_view> split_at_text(Budget& budget, std::string_view text, std::string_view separator,
                                            Int n, bool from_right) {
  std::vector<std::string_view> pieces;
  if (separator.empty()) fail(Fault::kValue, "empty separator");
  std::string turned_text, turned_separator;
  if (from_right) {
    turned_text = reversed_bytes(budget, text);
    turned_separator = reversed_bytes(budget, separator);
  }
  const std::string_view in = from_right ? std::string_view(turned_text) : text;
  const std::string_view what = from_right ? std::string_view(turned_separator) : separator;
  size_t from = 0;
  const auto piece = [&](size_t end) {
    return from_right ? text.substr(text.size() - end, end - from) : text.substr(from, end - from);
  };
  while (n != 0) {
    const size_t at = find_text(budget, in, what, from);
    if (at == std::string_view::npos) break;
    if (n > 0) --n;
    add_piece(budget, pieces, piece(at));
    from = at + what.size();
  }
  add_piece(budget, pieces, piece(text.size()));
  return pieces;
}

Value split_either(Interp& interp, Bound& a, bool from_right) {
  const Int n = a.has(2) ? need_int(a[2], "maxsplit") : -1;
  std::vector<std::string_view> pieces;
  if (!a.has(1) || a[1].is_none()) {
    pieces = split_at_space(interp.budget(), text_of(a[0]), n, from_right);
  } else {
    const std::string& separator = need_text(a[1], "must be str or None: the separator");
    pieces = split_at_text(interp.budget(), text_of(a[0]), separator, n, from_right);
  }
  if (from_right) std::reverse(pieces.begin(), pieces.end());
  return pieces_of(interp, a[0], pieces);
}
Value split(Interp& interp, Bound& a) { return split_either(interp, a, false); }
Value rsplit(Interp& interp, Bound& a) { return split_either(interp, a, true); }

Value splitlines(Interp& interp, Bound& a) {
  return pieces_of(interp, a[0], split_lines(interp.budget(), text_of(a[0]), flag(a, 1)));
}

Value partition_either(Interp& interp, Bound& a, bool last) {
  const std::string& separator = need_text(a[1], "must be str: the separator");
  if (separator.empty()) fail(Fault::kValue, "empty separator");
  const std::string_view text = text_of(a[0]);
  const size_t at =
      last ? rfind_text(interp.budget(), text, separator) : find_text(interp.budget(), text, separator, 0);
  std::array<std::string_view, 3> parts;
  if (at != std::string_view::npos)
    parts = {text.substr(0, at), separator, text.substr(at + separator.size())};
  else
    parts[last ? 2 : 0] = text;
  std::vector<Value> items;
  for (const std::string_view part : parts) items.push_back(make_string_like(a[0], std::string(part)));
  return make_tuple(interp.heap(), std::move(items));
}
Value partition(Interp& interp, Bound& a) { return partition_either(interp, a, false); }
Value rpartition(Interp& interp, Bound& a) { return partition_either(interp, a, true); }

Value join(Interp& interp, Bound& a) {
  if (!is_iterable(a[1])) fail(Fault::kType, "can only join an iterable");
  TextBuilder out(interp.budget());
  size_t n = 0;
  for_each(interp.heap(), a[1], [&](const Value& item) {
    if (n > 0) out.add(text_of(a[0]));
    if (is_markup(a[0]))
      add_escaped(out, item);
    else if (item.is_string())
      out.add(text_of(item));
    else
      fail(Fault::kType, "sequence item {}: expected str instance, {} found", n, type_name(item));
    ++n;
  });
  return make_string_like(a[0], out.take());
}

// A table maps character numbers to text, numbers, or None for nothing.
Value translate(Interp& interp, Bound& a) {
  if (!a[1].is(Kind::kDict)) fail(Fault::kType, "'{}' object is not subscriptable", type_name(a[1]));
  TextBuilder out(interp.budget());
  const std::string_view text = text_of(a[0]);
  for (size_t at = 0; at < text.size();) {
    const size_t start = at;
    const char32_t c = next_char(text, at);
    const Value* to = a[1].as<Dict>().find(Value::integer(static_cast<Int>(c)));
    if (to == nullptr) {
      out.add(text.substr(start, at - start));
    } else if (to->is_string()) {
      out.add(text_of(*to));
    } else if (to->is_integral()) {
      const Int code = to->as_int();
      if (code < 0 || code > 0x10ffff) fail(Fault::kValue, "character mapping must be in range(0x110000)");
      std::string one;
      append_char(one, code >= 0xd800 && code < 0xe000 ? 0xfffd : static_cast<char32_t>(code));
      out.add(one);
    } else if (!to->is_none()) {
      fail(Fault::kType, "character mapping must return integer, None or str");
    }
  }
  return make_string_like(a[0], out.take());
}

constexpr Builtin kTable[] = {
    {"split", "self sep= maxsplit=", split},
    {"rsplit", "self sep= maxsplit=", rsplit},
    {"startswith", "/ self prefix start= end=", startswith},
    {"endswith", "/ self suffix start= end=", endswith},
    {"replace", "/ self old new count=", replace},
    {"join", "/ self iterable", join},
    {"find", "/ self sub start= end=", find},
    {"rfind", "/ self sub start= end=", rfind},
    {"index", "/ self sub start= end=", index},
    {"rindex", "/ self sub start= end=", rindex},
    {"count", "/ self sub start= end=", count},
    {"splitlines", "self keepends=", splitlines},
    {"partition", "/ self sep", partition},
    {"rpartition", "/ self sep", rpartition},
    {"translate", "/ self table", translate},
};

}  // namespace

BuiltinTable text_search_methods() { return {kTable, std::size(kTable)}; }

}  // namespace quipu::jinja
