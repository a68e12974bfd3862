// Filters that lay text out in lines.
#include <algorithm>

#include "chat/jinja/filter_support.h"
#include "chat/jinja/iterate.h"
#include "chat/jinja/lines.h"
#include "chat/jinja/pretty.h"
#include "chat/jinja/unicode.h"

namespace quipu::jinja {

namespace {

const Value& need_string(const Value& value) {
  if (value.is_undefined()) value.as<Undefined>().raise();
  if (!value.is_string()) fail(Fault::kType, "'{}' object is not text", type_name(value));
  return value;
}

Value indent(Interp& interp, Bound& args) {
  Budget& budget = interp.budget();
  const Value& value = need_string(args[0]);
  std::string step;
  if (args.has(1) && args[1].is_string()) {
    step = text_of(args[1]);
  } else {
    const Int n = args.has(1) ? need_int(args[1], "width") : 4;
    checked_repeat(budget, 1, n);
    step.assign(static_cast<size_t>(std::max<Int>(n, 0)), ' ');
  }
  if (is_markup(value) && !(args.has(1) && is_markup(args[1]))) step = escape_html(step);
  const bool first = flag(args, 2), blank = flag(args, 3);
  std::string text = text_of(value);
  text += '\n';
  const std::vector<std::string_view> lines = split_lines(budget, text, false);
  TextBuilder out(budget);
  if (first) out.add(step);
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) {
      out.add('\n');
      if (blank || !lines[i].empty()) out.add(step);
    }
    out.add(lines[i]);
  }
  return make_string_like(value, out.take());
}

Value truncate(Interp& interp, Bound& args) {
  Heap& heap = interp.heap();
  const Value& value = args[0];
  const Int length = args.has(1) ? need_int(args[1], "length") : 255;
  const bool kill_words = flag(args, 2);
  const Value end = args.has(3) ? args[3] : make_string(heap, "...");
  const Int leeway = args.has(4) && !args[4].is_none() ? need_int(args[4], "leeway") : 5;
  const Int end_length = static_cast<Int>(length_of(end));
  if (length < end_length)
    fail(Fault::kRuntime, "expected length >= {}, got {}", int_text(end_length), int_text(length));
  if (leeway < 0) fail(Fault::kRuntime, "expected leeway >= 0, got {}", int_text(leeway));
  if (static_cast<Int>(length_of(value)) <= length + leeway) return value;
  need_string(value);
  std::string_view head = sub_chars(value, 0, static_cast<size_t>(length - end_length));
  if (!kill_words) {
    const size_t space = head.rfind(' ');
    if (space != std::string_view::npos) head = head.substr(0, space);
  }
  return arithmetic(interp, Op::kAdd, make_string_like(value, std::string(head)), end);
}

Value word_wrap(Interp& interp, Bound& args) {
  Budget& budget = interp.budget();
  const Value& value = need_string(args[0]);
  const int width = args.has(1) ? need_small_int(args[1], "width") : 79;
  const bool break_long_words = flag(args, 2, true);
  const Value newline = args.has(3) && !args[3].is_none() ? args[3] : make_string(interp.heap(), "\n");
  const std::string& separator = need_text(newline, "wrapstring");
  const bool break_on_hyphens = flag(args, 4, true);
  TextBuilder out(budget);
  bool first_paragraph = true;
  for (const std::string_view paragraph : split_lines(budget, text_of(value), false)) {
    if (!first_paragraph) out.add(separator);
    first_paragraph = false;
    bool first_line = true;
    for (const std::string& line : wrap_words(budget, paragraph, width, break_long_words, break_on_hyphens)) {
      if (!first_line) out.add(separator);
      first_line = false;
      out.add(line);
    }
  }
  return make_string(interp.heap(), out.take());
}

Value pprint(Interp& interp, Bound& args) {
  return make_string(interp.heap(), pretty_repr(interp.budget(), args[0]));
}

constexpr Builtin kTable[] = {
    {"indent", "s width= first= blank=", indent},
    {"truncate", "s length= killwords= end= leeway=", truncate},
    {"wordwrap", "s width= break_long_words= wrapstring= break_on_hyphens=", word_wrap},
    {"pprint", "value", pprint},
};

}  // namespace

BuiltinTable layout_filters() { return {kTable, std::size(kTable)}; }

}  // namespace quipu::jinja
