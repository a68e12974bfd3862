#include "chat/jinja/text.h"

#include <array>
#include <charconv>
#include <cmath>

#include "chat/jinja/objects.h"
#include "chat/jinja/ops.h"
#include "chat/jinja/unicode.h"

namespace quipu::jinja {

void TextBuilder::grow(size_t bytes) {
  const uint64_t wanted = std::max<uint64_t>(text_.size() + bytes, held_ * 2);
  budget_.hold(wanted - held_);
  held_ = wanted;
  text_.reserve(wanted);
}

void TextBuilder::fill(uint64_t n, std::string_view text) {
  if (text.empty()) return;
  const uint64_t bytes = checked_repeat(budget_, text.size(), static_cast<Int>(n));
  budget_.work(bytes);
  budget_.check_size(text_.size() + bytes);
  if (text_.size() + bytes > held_) grow(bytes);
  for (uint64_t i = 0; i < n; ++i) text_ += text;
}

uint64_t checked_repeat(Budget& budget, uint64_t bytes, Int n) {
  if (n <= 0 || bytes == 0) return 0;
  const Int limit = static_cast<Int>(budget.limits().max_output_bytes);
  const Int total = n > limit ? limit + 1 : n * static_cast<Int>(bytes);
  budget.check_size(total > limit ? static_cast<uint64_t>(limit) + 1 : static_cast<uint64_t>(total));
  return static_cast<uint64_t>(total);
}

namespace {

void append_hex_escape(std::string& out, char32_t c) {
  const auto code = static_cast<uint32_t>(c);
  out += c < 0x100     ? fmt::format("\\x{:02x}", code)
         : c < 0x10000 ? fmt::format("\\u{:04x}", code)
                       : fmt::format("\\U{:08x}", code);
}

}  // namespace

namespace {

char quote_for(std::string_view text) {
  return text.find('\'') != std::string_view::npos && text.find('"') == std::string_view::npos ? '"' : '\'';
}

void append_quoted(std::string& out, std::string_view text, char quote) {
  for (size_t at = 0; at < text.size();) {
    const size_t start = at;
    const char32_t c = next_char(text, at);
    if (c == static_cast<char32_t>(quote) || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (is_printable(c)) {
      out.append(text, start, at - start);
    } else {
      append_hex_escape(out, c);
    }
  }
}

// Escaping makes text longer, so it goes in pieces: the limits hold before the whole is there.
constexpr size_t kPieceBytes = 64 << 10;

}  // namespace

std::string python_quoted(std::string_view text) {
  const char quote = quote_for(text);
  std::string out(1, quote);
  append_quoted(out, text, quote);
  return out += quote;
}

void add_quoted(TextBuilder& out, std::string_view text) {
  const char quote = quote_for(text);
  out.add(quote);
  while (!text.empty()) {
    size_t n = std::min(kPieceBytes, text.size());
    while (n < text.size() && is_continuation(text[n])) --n;
    std::string piece;
    append_quoted(piece, text.substr(0, n), quote);
    out.add(piece);
    text.remove_prefix(n);
  }
  out.add(quote);
}

std::string ascii_escaped(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const char32_t c = next_char(text, at);
    if (c < 0x80)
      out += static_cast<char>(c);
    else
      append_hex_escape(out, c);
  }
  return out;
}

std::string int_text(Int value) {
  std::array<char, 48> buffer{};
  char* at = buffer.data() + buffer.size();
  const bool negative = value < 0;
  auto rest = negative ? -static_cast<unsigned __int128>(value) : static_cast<unsigned __int128>(value);
  do {
    *--at = static_cast<char>('0' + static_cast<int>(rest % 10));
    rest /= 10;
  } while (rest != 0);
  if (negative) *--at = '-';
  return {at, buffer.data() + buffer.size()};
}

std::string float_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  // The shortest digits come as d.ddde+xx; Python writes exponents from -4 to 15 out.
  std::array<char, 64> buffer{};
  const auto result =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::scientific);
  std::string_view text(buffer.data(), static_cast<size_t>(result.ptr - buffer.data()));
  std::string out;
  if (text.starts_with('-')) {
    out = "-";
    text.remove_prefix(1);
  }
  const size_t e = text.find('e');
  int exponent = 0;
  const std::string_view digits_after_e = text.substr(e + 2);
  std::from_chars(digits_after_e.data(), digits_after_e.data() + digits_after_e.size(), exponent);
  if (text[e + 1] == '-') exponent = -exponent;
  std::string digits(1, text[0]);
  if (e > 2) digits.append(text.substr(2, e - 2));
  const auto n = static_cast<int>(digits.size());
  if (exponent < -4 || exponent >= 16) {
    out += digits[0];
    if (n > 1) out += "." + digits.substr(1);
    return out + fmt::format("e{}{:02}", exponent < 0 ? '-' : '+', std::abs(exponent));
  }
  if (exponent < 0) return out + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  if (n <= exponent + 1) return out + digits + std::string(static_cast<size_t>(exponent + 1 - n), '0') + ".0";
  const auto whole = static_cast<size_t>(exponent + 1);
  return out + digits.substr(0, whole) + "." + digits.substr(whole);
}

namespace {

void add_items(TextBuilder& out, const std::vector<Value>& items) {
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out.add(", ");
    add_repr(out, items[i]);
  }
}

void add_dict(TextBuilder& out, const Dict& dict) {
  out.add('{');
  bool first = true;
  for (const auto& [key, value] : dict.entries()) {
    if (!first) out.add(", ");
    first = false;
    add_repr(out, key);
    out.add(": ");
    add_repr(out, value);
  }
  out.add('}');
}

void add_view(TextBuilder& out, const View& view) {
  const auto& entries = view.dict.as<Dict>().entries();
  out.add(view.of == View::Of::kKeys     ? "dict_keys(["
          : view.of == View::Of::kValues ? "dict_values(["
                                         : "dict_items([");
  for (size_t i = 0; i < entries.size(); ++i) {
    if (i > 0) out.add(", ");
    if (view.of == View::Of::kItems) {
      out.add('(');
      add_repr(out, entries[i].first);
      out.add(", ");
      add_repr(out, entries[i].second);
      out.add(')');
    } else {
      add_repr(out, view.of == View::Of::kKeys ? entries[i].first : entries[i].second);
    }
  }
  out.add("])");
}

void add_namespace(TextBuilder& out, Namespace& ns) {
  if (ns.in_repr) return out.add("<Namespace {...}>");
  out.add("<Namespace ");
  ns.in_repr = true;
  try {
    add_dict(out, ns.dict());
  } catch (...) {
    ns.in_repr = false;
    throw;
  }
  ns.in_repr = false;
  out.add('>');
}

}  // namespace

void add_repr(TextBuilder& out, const Value& value) {
  out.budget().step();
  switch (value.kind()) {
    case Kind::kMissing:
      return out.add("missing");
    case Kind::kNone:
      return out.add("None");
    case Kind::kBool:
      return out.add(value.as_bool() ? "True" : "False");
    case Kind::kInt:
      return out.add(int_text(value.as_int()));
    case Kind::kFloat:
      return out.add(float_text(value.as_float()));
    case Kind::kUndefined:
      return out.add("Undefined");
    case Kind::kString:
      if (is_markup(value)) out.add("Markup(");
      add_quoted(out, text_of(value));
      if (is_markup(value)) out.add(')');
      return;
    default:
      break;
  }
  const Nested nested(out.budget());
  switch (value.kind()) {
    case Kind::kList:
      out.add('[');
      add_items(out, items_of(value));
      out.add(']');
      break;
    case Kind::kTuple:
      out.add('(');
      add_items(out, items_of(value));
      out.add(items_of(value).size() == 1 ? ",)" : ")");
      break;
    case Kind::kDict:
      add_dict(out, value.as<Dict>());
      break;
    case Kind::kRange: {
      const auto& r = value.as<Range>();
      out.add(fmt::format("range({}, {}", int_text(r.start), int_text(r.stop)));
      if (r.step != 1) out.add(", " + int_text(r.step));
      out.add(')');
      break;
    }
    case Kind::kNamespace:
      add_namespace(out, value.as<Namespace>());
      break;
    case Kind::kView:
      add_view(out, value.as<View>());
      break;
    case Kind::kCallable:
      out.add(value.as<Callable>().repr());
      break;
    case Kind::kLoop:
      out.add(value.as<LoopContext>().repr());
      break;
    case Kind::kIterator:
      out.add(fmt::format("<{} object>", value.as<Iterator>().type_name()));
      break;
    case Kind::kCycler:
      out.add("<Cycler object>");
      break;
    case Kind::kSelf:
      out.add("<TemplateReference None>");
      break;
    default:
      break;
  }
}

void add_str(TextBuilder& out, const Value& value) {
  if (value.is_string()) return out.add(text_of(value));
  if (value.is_undefined()) return;
  add_repr(out, value);
}

std::string str_of(Budget& budget, const Value& value) {
  if (value.is_string()) {
    budget.work(text_of(value).size());
    return text_of(value);
  }
  TextBuilder out(budget);
  add_str(out, value);
  return out.take();
}

std::string repr_of(Budget& budget, const Value& value) {
  TextBuilder out(budget);
  add_repr(out, value);
  return out.take();
}

Value to_string_value(Heap& heap, const Value& value) {
  if (value.is_string() && !is_markup(value)) return value;
  return make_string(heap, str_of(heap.budget(), value));
}

Value soft_string(Heap& heap, const Value& value) {
  return value.is_string() ? value : make_string(heap, str_of(heap.budget(), value));
}

std::string escape_html(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '"':
        out += "&#34;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

void add_escaped(TextBuilder& out, const Value& value) {
  if (is_markup(value)) return out.add(text_of(value));
  const std::string text = str_of(out.budget(), value);
  for (std::string_view rest = text; !rest.empty();) {
    const size_t n = std::min(kPieceBytes, rest.size());
    out.add(escape_html(rest.substr(0, n)));
    rest.remove_prefix(n);
  }
}

Value escape_value(Heap& heap, const Value& value) {
  if (is_markup(value)) return value;
  TextBuilder out(heap.budget());
  add_escaped(out, value);
  return make_markup(heap, out.take());
}

}  // namespace quipu::jinja
