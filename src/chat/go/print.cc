#include "chat/go/print.h"

#include <utility>

#include "chat/go/json_text.h"
#include "chat/go/text.h"

namespace quipu::gotmpl {

namespace {

constexpr std::string_view kNil = "<nil>";

// Where values lie in memory is nobody's business; Go's addresses look like this one.
constexpr uint64_t kAddress = 0xc000000000;

}  // namespace

void Printer::add(std::string_view s) {
  budget_.grow(out_.size(), s.size());
  out_ += s;
}

void Printer::value(const Value& boxed, char32_t verb) {
  budget_.step();
  const Value v = boxed.unboxed();
  if (!v.valid()) {
    if (verb == 'T' || verb == 'v')
      pad(kNil);
    else
      bad_verb(v, verb);
  } else if (verb == 'w') {  // for errors, which no value is
    bad_verb(v, verb);
  } else if (verb == 'T') {
    text(v.type_name(), v, 's');
  } else if (verb == 'p') {
    address(v, 'p');
  } else if (!own_text(v, verb)) {
    nested(v, verb, 0);
  }
}

// Types with a String method print what that gives. The value is there and not boxed.
bool Printer::own_text(const Value& value, char32_t verb) {
  if (in_error_ || flags_.sharp_v || value.type()->text == TextForm::kPlain) return false;
  if (verb != 'v' && verb != 's' && verb != 'x' && verb != 'X' && verb != 'q') return false;
  text(gotmpl::own_text(value, budget_), value, verb);
  return true;
}

void Printer::nested(const Value& value, char32_t verb, int depth) {
  budget_.step();
  budget_.check_stack();
  switch (value.kind()) {
    case Kind::kInvalid:
      return add(kNil);
    case Kind::kInterface:
      if (value.is_nil()) {
        if (flags_.sharp_v) add(kAnyName);
        return add(flags_.sharp_v ? "(nil)" : kNil);
      }
      return nested(value.unboxed(), verb, depth);
    case Kind::kBool:
      return bool_(value, verb);
    case Kind::kInt:
    case Kind::kUint:
      return integer(value, verb);
    case Kind::kFloat:
      return number(value.as_float(), value, verb);
    case Kind::kComplex:
      return complex(value, verb);
    case Kind::kString:
      return text(value.as_string(), value, verb);
    default:
      if (depth == 0 || !own_text(value, verb)) compound(value, verb, depth);
  }
}

void Printer::compound(const Value& value, char32_t verb, int depth) {
  if (value.is(Kind::kPointer)) {
    if (depth > 0 || value.is_nil()) return address(value, verb);
    add("&");
    return nested(value.target(), verb, depth + 1);
  }
  if (value.type()->ordered_json) return add(json_of(value, budget_));
  if (value.is(Kind::kStruct)) return structure(value, verb, depth);
  elements(value, verb, depth);
}

// Slices and maps.
void Printer::elements(const Value& value, char32_t verb, int depth) {
  const bool is_map = value.is(Kind::kMap);
  if (value.type()->elem == &kByteType && (verb == 's' || verb == 'q' || verb == 'x' || verb == 'X')) {
    std::string bytes;
    for (size_t i = 0; i < value.size(); ++i) bytes += static_cast<char>(value.element(i).as_uint());
    return text(bytes, value, verb);
  }
  if (flags_.sharp_v) {
    add(value.type_name());
    if (value.is_nil()) return add("(nil)");
  }
  add(flags_.sharp_v ? "{" : is_map ? "map[" : "[");
  for (size_t i = 0; i < value.size(); ++i) {
    if (i > 0) add(flags_.sharp_v ? ", " : " ");
    if (is_map) {
      const auto& [key, entry] = value.entries()[i];
      nested(Value::string(key), verb, depth + 1);
      add(":");
      nested(entry, verb, depth + 1);
    } else {
      nested(value.element(i), verb, depth + 1);
    }
  }
  add(flags_.sharp_v ? "}" : "]");
}

void Printer::structure(const Value& value, char32_t verb, int depth) {
  const auto fields = value.type()->fields;
  if (flags_.sharp_v) add(value.type_name());
  add("{");
  for (size_t i = 0; i < fields.size(); ++i) {
    if (i > 0) add(flags_.sharp_v ? ", " : " ");
    if (flags_.plus_v || flags_.sharp_v) {
      add(fields[i].name);
      add(":");
    }
    nested(value.field(i), verb, depth + 1);
  }
  add("}");
}

void Printer::address(const Value& value, char32_t verb) {
  const bool addressable = value.is(Kind::kSlice) || value.is(Kind::kMap) || value.is(Kind::kPointer);
  if (!addressable) return bad_verb(value, verb);
  const uint64_t where = value.is_nil() ? 0 : kAddress;
  const auto hexadecimal = [&](bool with_prefix) {
    const bool sharp = std::exchange(flags_.sharp, with_prefix);
    add_integer(where, false, 16, 'v');
    flags_.sharp = sharp;
  };
  switch (verb) {
    case 'v':
      if (flags_.sharp_v) {
        add("(");
        add(value.type_name());
        add(")(");
        if (where == 0)
          add("nil");
        else
          hexadecimal(true);
        return add(")");
      }
      return where == 0 ? pad(kNil) : hexadecimal(!flags_.sharp);
    case 'p':
      return hexadecimal(!flags_.sharp);
    case 'b':
      return add_integer(where, false, 2, verb);
    case 'o':
      return add_integer(where, false, 8, verb);
    case 'd':
      return add_integer(where, false, 10, verb);
    case 'x':
    case 'X':
      return add_integer(where, false, 16, verb);
    default:
      return bad_verb(value, verb);
  }
}

void Printer::bad_verb(const Value& value, char32_t verb) {
  const bool before = std::exchange(in_error_, true);
  std::string head = "%!";
  append_rune(head, verb);
  add(head + '(');
  if (value.valid()) {
    add(value.type_name());
    add("=");
    nested(value, 'v', 0);
  } else {
    add(kNil);
  }
  add(")");
  in_error_ = before;
}

void Printer::bool_(const Value& value, char32_t verb) {
  if (verb != 't' && verb != 'v') return bad_verb(value, verb);
  pad(value.as_bool() ? "true" : "false");
}

void Printer::integer(const Value& value, char32_t verb) {
  const bool negative = value.is(Kind::kInt) && value.as_int() < 0;
  const uint64_t code = value.as_uint();  // of a negative number: far beyond any character
  const uint64_t magnitude = negative ? 0 - code : code;
  const char32_t rune = code > kMaxRune ? kReplacement : static_cast<char32_t>(code);
  switch (verb) {
    case 'v':
      if (flags_.sharp_v && value.is(Kind::kUint)) {
        flags_.sharp = true;
        add_integer(magnitude, false, 16, verb);
        flags_.sharp = false;
        return;
      }
      return add_integer(magnitude, negative, 10, verb);
    case 'd':
      return add_integer(magnitude, negative, 10, verb);
    case 'b':
      return add_integer(magnitude, negative, 2, verb);
    case 'o':
    case 'O':
      return add_integer(magnitude, negative, 8, verb);
    case 'x':
    case 'X':
      return add_integer(magnitude, negative, 16, verb);
    case 'c': {
      std::string s;
      append_rune(s, rune);
      return pad(s);
    }
    case 'q':
      return pad(quote_rune(rune, flags_.plus));
    case 'U':
      return add_unicode(code);
    default:
      return bad_verb(value, verb);
  }
}

void Printer::number(double d, const Value& value, char32_t verb) {
  switch (verb) {
    case 'v':
      return add_float(d, 'g', -1);
    case 'b':
    case 'g':
    case 'G':
    case 'x':
    case 'X':
      return add_float(d, static_cast<char>(verb), -1);
    case 'e':
    case 'E':
    case 'f':
      return add_float(d, static_cast<char>(verb), 6);
    case 'F':
      return add_float(d, 'f', 6);
    default:
      return bad_verb(value, verb);
  }
}

void Printer::complex(const Value& value, char32_t verb) {
  if (verb >= 0x80 || std::string_view("vbgGxXfFeE").find(static_cast<char>(verb)) == std::string_view::npos)
    return bad_verb(value, verb);
  const std::complex<double> c = value.as_complex();
  add("(");
  number(c.real(), value, verb);
  const bool plus = std::exchange(flags_.plus, true);
  number(c.imag(), value, verb);
  flags_.plus = plus;
  add("i)");
}

void Printer::text(std::string_view s, const Value& value, char32_t verb) {
  const auto cut = [&] {  // to so many characters
    if (!flags_.has_precision) return s;
    size_t end = 0;
    for (int n = 0; n < flags_.precision && end < s.size(); ++n) end += decode_rune(s.substr(end)).width;
    return s.substr(0, end);
  };
  switch (verb) {
    case 'v':
      if (!flags_.sharp_v) return pad(cut());
      [[fallthrough]];
    case 'q':
      s = cut();
      if (flags_.sharp && can_backquote(s)) return pad('`' + std::string(s) + '`');
      return pad(quote(s, flags_.plus));
    case 's':
      return pad(cut());
    case 'x':
    case 'X':
      return add_hex(s, verb == 'X');
    default:
      return bad_verb(value, verb);
  }
}

void Printer::print(std::span<const Value> values) {
  bool after_string = false;
  for (size_t i = 0; i < values.size(); ++i) {
    const bool is_string = values[i].unboxed().is(Kind::kString);
    if (i > 0 && !is_string && !after_string) add(" ");
    value(values[i]);
    after_string = is_string;
  }
}

void Printer::println(std::span<const Value> values) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0) add(" ");
    value(values[i]);
  }
  add("\n");
}

// Values that no directive asked for.
void Printer::extra(std::span<const Value> values) {
  flags_ = {};
  add("%!(EXTRA ");
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0) add(", ");
    if (const Value v = values[i].unboxed(); v.valid()) {
      add(v.type_name());
      add("=");
    }
    value(values[i]);
  }
  add(")");
}

}  // namespace quipu::gotmpl
