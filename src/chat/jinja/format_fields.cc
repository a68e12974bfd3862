// str.format(): fields in braces, as Python's string.Formatter reads them, with the sandbox's access to
// attributes.
#include <algorithm>
#include <limits>

#include "chat/jinja/format.h"
#include "chat/jinja/interp.h"
#include "chat/jinja/ops.h"
#include "chat/jinja/text.h"
#include "chat/jinja/unicode.h"

namespace quipu::jinja {

namespace {

bool all_digits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

class FieldFormatter {
 public:
  FieldFormatter(Interp& interp, const Args& args, bool escape)
      : interp_(interp), args_(args), escape_(escape) {}

  // `depth`: how often a specification may hold fields itself.
  void format(std::string_view text, TextBuilder& out, int depth) {
    if (depth < 0) fail(Fault::kValue, "Max string recursion exceeded");
    size_t at = 0;
    while (at < text.size()) {
      const size_t brace = std::min(text.find_first_of("{}", at), text.size());
      out.add(text.substr(at, brace - at));
      at = brace;
      if (at == text.size()) break;
      const char c = text[at++];
      if (at < text.size() && text[at] == c) {
        out.add(c);
        ++at;
        continue;
      }
      if (c == '}') fail(Fault::kValue, "Single '}}' encountered in format string");
      if (at == text.size()) fail(Fault::kValue, "Single '{{' encountered in format string");
      const size_t end = end_of_field(text, at);
      field(text.substr(at, end - at), out, depth);
      at = end + 1;
    }
  }

 private:
  static size_t end_of_field(std::string_view text, size_t at) {
    bool in_brackets = false;
    for (int depth = 1; at < text.size(); ++at) {
      const char c = text[at];
      if (c == '[') in_brackets = true;
      if (c == ']') in_brackets = false;
      if (in_brackets) continue;
      if (c == '{') ++depth;
      if (c == '}' && --depth == 0) return at;
    }
    fail(Fault::kValue, "expected '}}' before end of string");
  }

  void field(std::string_view body, TextBuilder& out, int depth) {
    // name [! conversion] [: specification]
    size_t end = 0;
    bool in_brackets = false;
    for (; end < body.size(); ++end) {
      if (body[end] == '[') in_brackets = true;
      if (body[end] == ']') in_brackets = false;
      if (!in_brackets && (body[end] == ':' || body[end] == '!')) break;
      if (!in_brackets && body[end] == '{') fail(Fault::kValue, "unexpected '{{' in field name");
    }
    const std::string_view name = body.substr(0, end);
    char conversion = '\0';
    std::string_view specification;
    if (end < body.size() && body[end] == '!') {
      if (end + 1 >= body.size()) fail(Fault::kValue, "end of string while looking for conversion specifier");
      conversion = body[end + 1];
      end += 2;
      if (end < body.size() && body[end] != ':')
        fail(Fault::kValue, "expected ':' after conversion specifier");
    }
    if (end < body.size()) specification = body.substr(end + 1);

    Value value = converted(lookup(name), conversion);
    TextBuilder spec(interp_.budget());
    format(specification, spec, depth - 1);
    add(value, spec.text(), out);
  }

  void add(const Value& value, const std::string& specification, TextBuilder& out) {
    if (!escape_) return out.add(format_value(interp_, value, specification));
    if (is_markup(value)) {
      if (!specification.empty()) fail(Fault::kValue, "Unsupported format specification for Markup.");
      return out.add(text_of(value));
    }
    add_escaped(out, make_string(interp_.heap(), format_value(interp_, value, specification)));
  }

  Value converted(Value value, char conversion) {
    Budget& budget = interp_.budget();
    switch (conversion) {
      case '\0':
        return value;
      case 's':
        return make_string(interp_.heap(), str_of(budget, value));
      case 'r':
        return make_string(interp_.heap(), repr_of(budget, value));
      case 'a':
        return make_string(interp_.heap(), ascii_escaped(repr_of(budget, value)));
      default:
        fail(Fault::kValue, "Unknown conversion specifier {}", conversion);
    }
  }

  Value first_value(std::string_view name) {
    if (name.empty()) {
      if (manual_)
        fail(Fault::kValue, "cannot switch from manual field specification to automatic field numbering");
      return positional(next_++);
    }
    if (all_digits(name)) {
      if (next_ > 0)
        fail(Fault::kValue, "cannot switch from manual field specification to automatic field numbering");
      manual_ = true;
      return positional(index(name));
    }
    const auto it =
        std::find_if(args_.named.begin(), args_.named.end(), [&](const auto& n) { return n.first == name; });
    if (it == args_.named.end()) fail(Fault::kLookup, "{}", python_quoted(name));
    return it->second;
  }

  static size_t index(std::string_view digits) {
    uint64_t n = 0;
    for (const char c : digits) {
      n = n * 10 + static_cast<uint64_t>(c - '0');
      if (n > std::numeric_limits<int>::max())
        fail(Fault::kValue, "Too many decimal digits in format string");
    }
    return n;
  }

  Value positional(size_t i) {
    if (i >= args_.positional.size())
      fail(Fault::kLookup, "Replacement index {} out of range for positional args tuple", i);
    return args_.positional[i];
  }

  Value lookup(std::string_view name) {
    const size_t end = std::min(name.find_first_of(".["), name.size());
    if (end == 0 && !name.empty()) fail(Fault::kLookup, "''");
    Value value = first_value(name.substr(0, end));
    for (size_t at = end; at < name.size();) {
      const char c = name[at++];
      if (c == '.') {
        const size_t stop = std::min(name.find_first_of(".[", at), name.size());
        if (stop == at) fail(Fault::kValue, "Empty attribute in format string");
        value = get_attribute(interp_, value, name.substr(at, stop - at));
        at = stop;
      } else if (c == '[') {
        const size_t stop = name.find(']', at);
        if (stop == std::string_view::npos) fail(Fault::kValue, "Missing ']' in format string");
        const std::string_view key = name.substr(at, stop - at);
        if (key.empty()) fail(Fault::kValue, "Empty attribute in format string");
        value = get_item(interp_, value,
                         all_digits(key) ? Value::integer(static_cast<Int>(index(key)))
                                         : make_string(interp_.heap(), std::string(key)));
        at = stop + 1;
      } else {
        fail(Fault::kValue, "Only '.' or '[' may follow ']' in format field specifier");
      }
    }
    return value;
  }

  Interp& interp_;
  const Args& args_;
  const bool escape_;
  size_t next_ = 0;
  bool manual_ = false;
};

}  // namespace

Value format_fields(Interp& interp, const Value& format, const Args& args) {
  TextBuilder out(interp.budget());
  // Fields in a specification may have one themselves, no more.
  FieldFormatter(interp, args, is_markup(format)).format(text_of(format), out, 2);
  return make_string_like(format, out.take());
}

}  // namespace quipu::jinja
