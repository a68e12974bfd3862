// Filters around HTML. Templates of chat models hardly need them, but Jinja has them.
#include <algorithm>
#include <limits>
#include <set>

#include "chat/jinja/filter_support.h"
#include "chat/jinja/html.h"
#include "chat/jinja/iterate.h"
#include "chat/jinja/unicode.h"

namespace quipu::jinja {

namespace {

Value escape(Interp& interp, Bound& args) { return escape_value(interp.heap(), args[0]); }

Value force_escape(Interp& interp, Bound& args) {
  return escape_value(interp.heap(), to_string_value(interp.heap(), args[0]));
}

Value safe(Interp& interp, Bound& args) {
  if (is_markup(args[0])) return args[0];
  return make_markup(interp.heap(), str_of(interp.budget(), args[0]));
}

Value strip_tags_filter(Interp& interp, Bound& args) {
  return make_string(interp.heap(), strip_tags(interp.budget(), str_of(interp.budget(), args[0])));
}

Value xmlattr(Interp& interp, Bound& args) {
  Heap& heap = interp.heap();
  if (args[0].is_undefined()) args[0].as<Undefined>().raise();
  if (!args[0].is(Kind::kDict))
    fail(Fault::kType, "'{}' object has no attribute 'items'", type_name(args[0]));
  TextBuilder out(interp.budget());
  for (const auto& [key, value] : args[0].as<Dict>().entries()) {
    if (value.is_none() || value.is_undefined()) continue;
    const std::string& name = need_text(key, "attribute name");
    const bool invalid = std::any_of(name.begin(), name.end(), [](char c) {
      return c == '/' || c == '>' || c == '=' || c == ' ' || (c >= 9 && c <= 13);
    });
    if (invalid) fail(Fault::kValue, "Invalid character in attribute name: {}", python_quoted(name));
    if (out.size() > 0 || flag(args, 1, true)) out.add(' ');
    add_escaped(out, key);
    out.add("=\"");
    add_escaped(out, value);
    out.add('"');
  }
  return interp.autoescape() ? make_markup(heap, out.take()) : make_string(heap, out.take());
}

// At least two characters, a colon, and up to two slashes.
bool is_scheme(std::string_view scheme) {
  const size_t colon = scheme.find(':');
  if (colon == std::string_view::npos || count_chars(scheme.substr(0, colon)) < 2) return false;
  const std::string_view slashes = scheme.substr(colon + 1);
  if (!slashes.empty() && slashes != "/" && slashes != "//") return false;
  for (size_t at = 0; at < colon;) {
    const char32_t c = next_char(scheme, at);
    if (!is_word(c) && c != '.' && c != '+' && c != '-') return false;
  }
  return true;
}

Value urlize(Interp& interp, Bound& args) {
  Heap& heap = interp.heap();
  Budget& budget = interp.budget();
  LinkStyle style;
  if (args.has(1) && !args[1].is_none())
    style.limit = static_cast<size_t>(std::max<Int>(need_small_int(args[1], "trim_url_limit"), 0));
  std::set<std::string> rel = {"noopener"};
  if (flag(args, 2)) rel.insert("nofollow");
  if (args.has(4) && !args[4].is_none()) {
    std::string_view rest = need_text(args[4], "rel");
    for (rest = trim(rest); !rest.empty(); rest = trim(rest)) {
      const size_t end = std::min(rest.find_first_of(" \t\n\r\f\v"), rest.size());
      budget.step();
      rel.insert(std::string(rest.substr(0, end)));
      rest.remove_prefix(end);
    }
  }
  for (const std::string& word : rel) style.rel += (style.rel.empty() ? "" : " ") + word;
  if (args.has(3) && !args[3].is_none()) style.target = need_text(args[3], "target");
  if (args.has(5) && !args[5].is_none()) {
    for_each(heap, args[5], [&](const Value& scheme) {
      if (!is_scheme(need_text(scheme, "a scheme")))
        fail(Fault::kRuntime, "{} is not a valid URI scheme prefix.", python_quoted(text_of(scheme)));
      style.extra_schemes.push_back(text_of(scheme));
    });
    if (style.extra_schemes.size() > 64) fail(Fault::kLimit, "more than 64 URI schemes");
  }
  // Markup is not escaped again.
  std::string text = str_of(budget, args[0]);
  if (is_markup(args[0])) text = unescape_html(text);
  std::string linked = link_urls(budget, text, style);
  return interp.autoescape() ? make_markup(heap, std::move(linked)) : make_string(heap, std::move(linked));
}

constexpr Builtin kTable[] = {
    {"e", "/ s", escape},
    {"escape", "/ s", escape},
    {"forceescape", "value", force_escape},
    {"safe", "value", safe},
    {"striptags", "value", strip_tags_filter},
    {"xmlattr", "d autospace=", xmlattr},
    {"urlize", "value trim_url_limit= nofollow= target= rel= extra_schemes=", urlize},
};

}  // namespace

BuiltinTable markup_filters() { return {kTable, std::size(kTable)}; }

}  // namespace quipu::jinja
