// Filters that change text.
#include <algorithm>

#include "chat/jinja/filter_support.h"
#include "chat/jinja/format.h"
#include "chat/jinja/iterate.h"
#include "chat/jinja/json.h"
#include "chat/jinja/unicode.h"

namespace quipu::jinja {

namespace {

// The value as text, changed by a function from text to text; Markup stays Markup.
Value changed(Interp& interp, const Value& value, std::string (*change)(std::string_view)) {
  const Value text = soft_string(interp.heap(), value);
  interp.budget().work(4 * text_of(text).size());
  return make_string_like(text, change(text_of(text)));
}

Value upper(Interp& interp, Bound& args) { return changed(interp, args[0], to_upper); }
Value lower(Interp& interp, Bound& args) { return changed(interp, args[0], to_lower); }
Value capitalize(Interp& interp, Bound& args) { return changed(interp, args[0], to_capitalized); }

// Words begin after white space, hyphens and opening brackets only.
std::string title_words(std::string_view text) {
  std::string out;
  size_t at = 0;
  while (at < text.size()) {
    size_t end = at;
    while (end < text.size()) {
      size_t next = end;
      const char32_t c = next_char(text, next);
      if (is_space(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<') break;
      end = next;
    }
    if (end == at) {
      const size_t n = char_bytes(text[at]);
      out.append(text, at, n);
      at += n;
      continue;
    }
    const size_t first = char_bytes(text[at]);
    out += to_upper(text.substr(at, first));
    out += to_lower(text.substr(at + first, end - at - first));
    at = end;
  }
  return out;
}

Value title(Interp& interp, Bound& args) {
  const Value text = soft_string(interp.heap(), args[0]);
  interp.budget().work(4 * text_of(text).size());
  return make_string(interp.heap(), title_words(text_of(text)));
}

Value trim_filter(Interp& interp, Bound& args) {
  Args call;
  call.positional = {soft_string(interp.heap(), args[0])};
  if (args.has(1)) call.positional.push_back(args[1]);
  const Builtin& strip = *find_method(call.positional[0], "strip");
  return interp.call_builtin(strip, std::move(call));
}

Value center(Interp& interp, Bound& args) {
  Args call;
  call.positional = {soft_string(interp.heap(), args[0]), args.has(1) ? args[1] : Value::integer(80)};
  const Builtin& method = *find_method(call.positional[0], "center");
  return interp.call_builtin(method, std::move(call));
}

Value replace(Interp& interp, Bound& args) {
  Heap& heap = interp.heap();
  Budget& budget = interp.budget();
  const Int n = args.has(3) && !args[3].is_none() ? need_int(args[3], "count") : -1;
  if (!interp.autoescape())
    return make_string(heap, replace_text(budget, str_of(budget, args[0]), str_of(budget, args[1]),
                                          str_of(budget, args[2]), n));
  const bool escape = is_markup(args[1]) || (is_markup(args[2]) && !is_markup(args[0]));
  const Value text = escape ? escape_value(heap, args[0]) : soft_string(heap, args[0]);
  const Value what = soft_string(heap, args[1]), by = soft_string(heap, args[2]);
  const Value inserted = is_markup(text) ? escape_value(heap, by) : by;
  return make_string_like(text, replace_text(budget, text_of(text), text_of(what), text_of(inserted), n));
}

Value string(Interp& interp, Bound& args) { return soft_string(interp.heap(), args[0]); }

Value format(Interp& interp, Bound& args) {
  Heap& heap = interp.heap();
  if (!args.rest.positional.empty() && !args.rest.named.empty())
    fail(Fault::kRuntime, "can't handle positional and keyword arguments at the same time");
  Value arguments;
  if (args.rest.named.empty()) {
    arguments = make_tuple(heap, args.rest.positional);
  } else {
    arguments = make_dict(heap);
    for (const auto& [name, value] : args.rest.named)
      arguments.as<Dict>().set(make_string(heap, name), value);
  }
  return format_percent(interp, soft_string(heap, args[0]), arguments);
}

Value word_count(Interp& interp, Bound& args) {
  const std::string text = str_of(interp.budget(), args[0]);
  Int n = 0;
  bool within = false;
  for (size_t at = 0; at < text.size();) {
    const bool word = is_word(next_char(text, at));
    n += word && !within ? 1 : 0;
    within = word;
  }
  return Value::integer(n);
}

std::string url_quoted(Budget& budget, const Value& value, bool query) {
  const std::string text = str_of(budget, value);
  TextBuilder out(budget);
  for (const char c : text) {
    const bool plain = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '_' ||
                       c == '.' || c == '-' || c == '~' || (c == '/' && !query);
    if (plain)
      out.add(c);
    else if (c == ' ' && query)
      out.add('+');
    else
      out.add(fmt::format("%{:02X}", static_cast<unsigned char>(c)));
  }
  return out.take();
}

Value urlencode(Interp& interp, Bound& args) {
  Heap& heap = interp.heap();
  Budget& budget = interp.budget();
  if (args[0].is_string() || !is_iterable(args[0]))
    return make_string(heap, url_quoted(budget, args[0], false));
  TextBuilder out(budget);
  const Value pairs =
      args[0].is(Kind::kDict) ? Value::of(Kind::kView, new View(heap, args[0], View::Of::kItems)) : args[0];
  for_each(heap, pairs, [&](const Value& pair) {
    const std::vector<Value> parts = unpack(heap, pair, 2);
    if (out.size() > 0) out.add('&');
    out.add(url_quoted(budget, parts[0], true));
    out.add('=');
    out.add(url_quoted(budget, parts[1], true));
  });
  return make_string(heap, out.take());
}

// json.dumps, as the chat templates of Hugging Face's transformers have it.
Value tojson(Interp& interp, Bound& args) {
  JsonStyle style;
  style.ensure_ascii = flag(args, 1);
  style.sort_keys = flag(args, 4);
  if (args.has(2) && !args[2].is_none()) {
    style.pretty = true;
    style.item_separator = ",";
    if (args[2].is_string()) {
      style.indent = text_of(args[2]);
    } else {
      const int n = need_small_int(args[2], "indent");
      interp.budget().check_size(static_cast<uint64_t>(std::max(n, 0)));
      style.indent.assign(static_cast<size_t>(std::max(n, 0)), ' ');
    }
  }
  if (args.has(3) && !args[3].is_none()) {
    const std::vector<Value> separators = unpack(interp.heap(), args[3], 2);
    style.item_separator = need_text(separators[0], "a separator");
    style.key_separator = need_text(separators[1], "a separator");
  }
  return make_string(interp.heap(), to_json(interp.budget(), args[0], style));
}

constexpr Builtin kTable[] = {
    {"upper", "s", upper},
    {"lower", "s", lower},
    {"capitalize", "s", capitalize},
    {"title", "s", title},
    {"trim", "value chars=", trim_filter},
    {"center", "value width=", center},
    {"replace", "s old new count=", replace},
    {"string", "/ s", string},
    {"format", "value * **", format},
    {"wordcount", "s", word_count},
    {"urlencode", "value", urlencode},
    {"tojson", "x ensure_ascii= indent= separators= sort_keys=", tojson},
};

}  // namespace

BuiltinTable text_filters() { return {kTable, std::size(kTable)}; }

}  // namespace quipu::jinja
