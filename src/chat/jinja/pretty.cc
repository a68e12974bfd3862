#include "chat/jinja/pretty.h"

#include <algorithm>

#include "chat/jinja/lines.h"
#include "chat/jinja/merge_sort.h"
#include "chat/jinja/ops.h"
#include "chat/jinja/text.h"
#include "chat/jinja/unicode.h"

namespace quipu::jinja {

namespace {

constexpr size_t kWidth = 80;

class PrettyPrinter {
 public:
  explicit PrettyPrinter(Budget& budget) : budget_(budget), out_(budget) {}

  std::string run(const Value& value) {
    write(value, 0, 0);
    return out_.take();
  }

 private:
  // The items of a dict, in the order of their keys where those can be compared.
  std::vector<const Dict::Entry*> sorted(const Dict& dict) {
    const auto& all = dict.entries();
    const std::vector<size_t> order = merge_sorted(all.size(), [&](size_t i, size_t j) {
      const Value &a = all[i].first, &b = all[j].first;
      if ((a.is_number() && b.is_number()) || (a.is_string() && b.is_string()))
        return compare(budget_, Op::kLt, a, b);
      return type_name(a) < type_name(b);
    });
    std::vector<const Dict::Entry*> entries;
    for (const size_t i : order) entries.push_back(&all[i]);
    return entries;
  }

  // On one line; dicts within are sorted too.
  void flat(const Value& value, TextBuilder& out) {
    budget_.step();
    if (value.is(Kind::kDict)) {
      const Nested nested(budget_);
      out.add('{');
      bool first = true;
      for (const Dict::Entry* e : sorted(value.as<Dict>())) {
        if (!first) out.add(", ");
        first = false;
        flat(e->first, out);
        out.add(": ");
        flat(e->second, out);
      }
      out.add('}');
    } else if (is_sequence(value)) {
      const Nested nested(budget_);
      const bool list = value.is(Kind::kList);
      out.add(list ? '[' : '(');
      bool first = true;
      for (const Value& item : items_of(value)) {
        if (!first) out.add(", ");
        first = false;
        flat(item, out);
      }
      out.add(list ? "]" : items_of(value).size() == 1 ? ",)" : ")");
    } else {
      add_repr(out, value);
    }
  }

  // `indent`: the column where it begins; `allowance`: what has to follow on the last line.
  void write(const Value& value, size_t indent, size_t allowance) {
    const Nested nested(budget_);
    TextBuilder line(budget_);
    flat(value, line);
    const size_t room = kWidth > indent + allowance ? kWidth - indent - allowance : 0;
    if (count_chars(line.text()) <= room) return out_.add(line.text());
    if (value.is(Kind::kDict)) return write_dict(value.as<Dict>(), indent, allowance);
    if (is_sequence(value)) return write_sequence(value, indent, allowance);
    if (value.is_string() && !is_markup(value)) return write_text(text_of(value), indent, allowance);
    out_.add(line.text());
  }

  void new_line(size_t indent) {
    out_.add(",\n");
    out_.fill(indent);
  }

  void write_dict(const Dict& dict, size_t indent, size_t allowance) {
    out_.add('{');
    ++depth_;
    const auto entries = sorted(dict);
    for (size_t i = 0; i < entries.size(); ++i) {
      if (i > 0) new_line(indent + 1);
      TextBuilder key(budget_);
      flat(entries[i]->first, key);
      out_.add(key.text());
      out_.add(": ");
      write(entries[i]->second, indent + 1 + count_chars(key.text()) + 2,
            i + 1 == entries.size() ? allowance + 1 : 1);
    }
    --depth_;
    out_.add('}');
  }

  void write_sequence(const Value& value, size_t indent, size_t allowance) {
    const auto& items = items_of(value);
    const bool list = value.is(Kind::kList);
    const std::string_view end = list ? "]" : items.size() == 1 ? ",)" : ")";
    out_.add(list ? '[' : '(');
    ++depth_;
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) new_line(indent + 1);
      write(items[i], indent + 1, i + 1 == items.size() ? allowance + end.size() : 1);
    }
    --depth_;
    out_.add(end);
  }

  // A long string as several literals side by side, broken at its lines and then between words.
  void write_text(std::string_view text, size_t indent, size_t allowance) {
    const bool alone = depth_ == 0;
    if (alone) {
      ++indent;
      ++allowance;
    }
    std::vector<std::string> parts;
    size_t room = kWidth > indent ? kWidth - indent : 0;
    const std::vector<std::string_view> lines = split_lines(budget_, text, true);
    for (const std::string_view& line : lines) {
      const bool last_line = &line == &lines.back();
      if (last_line) room = room > allowance ? room - allowance : 0;
      if (std::string whole = python_quoted(line); count_chars(whole) <= room) {
        parts.push_back(std::move(whole));
        continue;
      }
      split_line(line, last_line, indent, allowance, parts);
    }
    const bool parentheses = alone && parts.size() > 1;
    if (parentheses) out_.add('(');
    for (size_t i = 0; i < parts.size(); ++i) {
      if (i > 0) {
        out_.add('\n');
        out_.fill(indent);
      }
      out_.add(parts[i]);
    }
    if (parentheses) out_.add(')');
  }

  void split_line(std::string_view line, bool last_line, size_t indent, size_t allowance,
                  std::vector<std::string>& parts) {
    std::string current;
    for (size_t at = 0; at < line.size();) {
      // A word and the white space behind it.
      size_t end = at;
      const auto space_at = [&](size_t i) { return is_space(next_char(line, i)); };
      while (end < line.size() && !space_at(end)) end += char_bytes(line[end]);
      while (end < line.size() && space_at(end)) end += char_bytes(line[end]);
      size_t room = kWidth > indent ? kWidth - indent : 0;
      if (last_line && end == line.size()) room = room > allowance ? room - allowance : 0;
      const std::string_view word = line.substr(at, end - at);
      at = end;
      budget_.work(current.size() + word.size());
      if (!current.empty() && count_chars(python_quoted(current + std::string(word))) > room) {
        parts.push_back(python_quoted(current));
        current.clear();
      }
      current += word;
    }
    if (!current.empty()) parts.push_back(python_quoted(current));
  }

  Budget& budget_;
  TextBuilder out_;
  int depth_ = 0;  // of lists and dicts
};

}  // namespace

std::string pretty_repr(Budget& budget, const Value& value) { return PrettyPrinter(budget).run(value); }

}  // namespace quipu::jinja
