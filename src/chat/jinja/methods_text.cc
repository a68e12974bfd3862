// Methods of str that change text or say what it is made of. Those of Markup escape what they take in.
#include <algorithm>

#include "chat/jinja/filter_support.h"
#include "chat/jinja/format.h"
#include "chat/jinja/html.h"
#include "chat/jinja/iterate.h"
#include "chat/jinja/lines.h"
#include "chat/jinja/unicode.h"

namespace quipu::jinja {

namespace {

template <std::string (*kChange)(std::string_view)>
Value changed(Interp& interp, Bound& a) {
  interp.budget().work(4 * text_of(a[0]).size());
  return make_string_like(a[0], kChange(text_of(a[0])));
}

// ---- stripping

bool in_set(std::string_view set, std::string_view c) { return set.find(c) != std::string_view::npos; }

Value stripped(Interp& interp, Bound& a, bool left, bool right) {
  std::string_view text = text_of(a[0]);
  interp.budget().work(text.size());
  if (!a.has(1) || a[1].is_none()) {
    if (left) text = trim_left(text);
    if (right) text = trim_right(text);
    return text.size() == text_of(a[0]).size() ? a[0] : make_string_like(a[0], std::string(text));
  }
  const std::string_view set = need_text(a[1], "strip arg");
  while (left && !text.empty()) {
    const size_t n = char_bytes(text[0]);
    interp.budget().work(set.size());
    if (!in_set(set, text.substr(0, n))) break;
    text.remove_prefix(n);
  }
  while (right && !text.empty()) {
    size_t start = text.size();
    previous_char(text, start);
    interp.budget().work(set.size());
    if (!in_set(set, text.substr(start))) break;
    text = text.substr(0, start);
  }
  return make_string_like(a[0], std::string(text));
}
Value strip(Interp& interp, Bound& a) { return stripped(interp, a, true, true); }
Value lstrip(Interp& interp, Bound& a) { return stripped(interp, a, true, false); }
Value rstrip(Interp& interp, Bound& a) { return stripped(interp, a, false, true); }

Value remove_prefix(Interp&, Bound& a) {
  const std::string& prefix = need_text(a[1], "removeprefix() argument");
  if (!text_of(a[0]).starts_with(prefix)) return a[0];
  return make_string_like(a[0], text_of(a[0]).substr(prefix.size()));
}
Value remove_suffix(Interp&, Bound& a) {
  const std::string& suffix = need_text(a[1], "removesuffix() argument");
  if (!text_of(a[0]).ends_with(suffix)) return a[0];
  return make_string_like(a[0], text_of(a[0]).substr(0, text_of(a[0]).size() - suffix.size()));
}

// ---- padding

Value padded(Interp& interp, Bound& a, bool left, bool right) {
  const Int width = need_int(a[1], "width");
  std::string fill = " ";
  if (a.has(2)) {
    fill = need_text(a[2], "The fill character");
    if (is_markup(a[0]) && !is_markup(a[2])) fill = escape_html(fill);
    if (count_chars(fill) != 1) fail(Fault::kType, "The fill character must be exactly one character long");
  }
  const auto length = static_cast<Int>(length_of(a[0]));
  if (width <= length) return a[0];
  checked_repeat(interp.budget(), fill.size(), width - length);
  const auto missing = static_cast<uint64_t>(width - length);
  // Python gives the odd one to the left where the width is odd.
  const uint64_t before = !left    ? 0
                          : !right ? missing
                                   : missing / 2 + (missing & static_cast<uint64_t>(width) & 1);
  TextBuilder out(interp.budget());
  out.fill(before, fill);
  out.add(text_of(a[0]));
  out.fill(missing - before, fill);
  return make_string_like(a[0], out.take());
}
Value center(Interp& interp, Bound& a) { return padded(interp, a, true, true); }
Value ljust(Interp& interp, Bound& a) { return padded(interp, a, false, true); }
Value rjust(Interp& interp, Bound& a) { return padded(interp, a, true, false); }

Value zfill(Interp& interp, Bound& a) {
  const Int width = need_int(a[1], "width");
  const auto length = static_cast<Int>(length_of(a[0]));
  if (width <= length) return a[0];
  checked_repeat(interp.budget(), 1, width);
  std::string_view text = text_of(a[0]);
  TextBuilder out(interp.budget());
  if (text.starts_with('+') || text.starts_with('-')) {
    out.add(text[0]);
    text.remove_prefix(1);
  }
  out.fill(static_cast<uint64_t>(width - length), "0");
  out.add(text);
  return make_string_like(a[0], out.take());
}

Value expandtabs(Interp& interp, Bound& a) {
  const int size = a.has(1) ? need_small_int(a[1], "tabsize") : 8;
  TextBuilder out(interp.budget());
  const std::string_view text = text_of(a[0]);
  size_t column = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t n = char_bytes(text[at]);
    const char c = text[at];
    if (c == '\t') {
      if (size > 0) {
        const size_t spaces = static_cast<size_t>(size) - column % static_cast<size_t>(size);
        out.fill(spaces);
        column += spaces;
      }
    } else {
      out.add(text.substr(at, n));
      column = c == '\n' || c == '\r' ? 0 : column + 1;
    }
    at += n;
  }
  return make_string_like(a[0], out.take());
}

// ---- what it is made of

template <bool (*kIs)(char32_t)>
Value all_are(Interp& interp, Bound& a) {
  const std::string_view text = text_of(a[0]);
  interp.budget().work(text.size());
  for (size_t at = 0; at < text.size();)
    if (!kIs(next_char(text, at))) return Value::boolean(false);
  return Value::boolean(!text.empty());
}

Value is_ascii(Interp&, Bound& a) { return Value::boolean(a[0].as<String>().ascii()); }
Value is_printable_text(Interp& interp, Bound& a) {
  return text_of(a[0]).empty() ? Value::boolean(true) : all_are<is_printable>(interp, a);
}
Value is_identifier_text(Interp&, Bound& a) { return Value::boolean(is_identifier(text_of(a[0]))); }

Value is_lower_text(Interp& interp, Bound& a) {
  Args args;
  args.positional = {a[0]};
  return interp.call_builtin(*find_test("lower"), std::move(args));
}
Value is_upper_text(Interp& interp, Bound& a) {
  Args args;
  args.positional = {a[0]};
  return interp.call_builtin(*find_test("upper"), std::move(args));
}

Value is_title_text(Interp& interp, Bound& a) {
  const std::string_view text = text_of(a[0]);
  interp.budget().work(text.size());
  bool any = false, within = false;
  for (size_t at = 0; at < text.size();) {
    const char32_t c = next_char(text, at);
    if (is_upper(c) || is_title(c)) {
      if (within) return Value::boolean(false);
      within = any = true;
    } else if (is_lower(c)) {
      if (!within) return Value::boolean(false);
      any = true;
    } else {
      within = false;
    }
  }
  return Value::boolean(any);
}

// ---- formatting

Value format(Interp& interp, Bound& a) { return format_fields(interp, a[0], a.rest); }

Value format_map(Interp& interp, Bound& a) {
  if (!a[1].is(Kind::kDict)) fail(Fault::kType, "format_map() argument must be a mapping");
  Args args;
  for (const auto& [key, value] : a[1].as<Dict>().entries())
    if (key.is_string()) args.named.emplace_back(text_of(key), value);
  return format_fields(interp, a[0], args);
}

// ---- Markup

Value unescape(Interp& interp, Bound& a) {
  interp.budget().work(text_of(a[0]).size());
  return make_string(interp.heap(), unescape_html(text_of(a[0])));
}
Value striptags(Interp& interp, Bound& a) {
  return make_string(interp.heap(), strip_tags(interp.budget(), text_of(a[0])));
}

constexpr Builtin kTable[] = {
    {"strip", "/ self chars=", strip},
    {"lstrip", "/ self chars=", lstrip},
    {"rstrip", "/ self chars=", rstrip},
    {"upper", "/ self", changed<to_upper>},
    {"lower", "/ self", changed<to_lower>},
    {"title", "/ self", changed<to_title>},
    {"capitalize", "/ self", changed<to_capitalized>},
    {"swapcase", "/ self", changed<to_swapped_case>},
    {"casefold", "/ self", changed<to_folded_case>},
    {"removeprefix", "/ self prefix", remove_prefix},
    {"removesuffix", "/ self suffix", remove_suffix},
    {"center", "/ self width fillchar=", center},
    {"ljust", "/ self width fillchar=", ljust},
    {"rjust", "/ self width fillchar=", rjust},
    {"zfill", "/ self width", zfill},
    {"expandtabs", "self tabsize=", expandtabs},
    {"isalnum", "/ self", all_are<is_alnum>},
    {"isalpha", "/ self", all_are<is_alpha>},
    {"isascii", "/ self", is_ascii},
    {"isdecimal", "/ self", all_are<is_decimal>},
    {"isdigit", "/ self", all_are<is_digit>},
    {"isidentifier", "/ self", is_identifier_text},
    {"islower", "/ self", is_lower_text},
    {"isnumeric", "/ self", all_are<is_numeric>},
    {"isprintable", "/ self", is_printable_text},
    {"isspace", "/ self", all_are<is_space>},
    {"istitle", "/ self", is_title_text},
    {"isupper", "/ self", is_upper_text},
    {"format", "self * **", format},
    {"format_map", "/ self mapping", format_map},
};

constexpr Builtin kMarkupTable[] = {
    {"unescape", "/ self", unescape},
    {"striptags", "/ self", striptags},
};

}  // namespace

BuiltinTable text_methods() { return {kTable, std::size(kTable)}; }
BuiltinTable markup_methods() { return {kMarkupTable, std::size(kMarkupTable)}; }

}  // namespace quipu::jinja
