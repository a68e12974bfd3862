#include "chat/go/escape.h"

#include <fmt/format.h>

#include "chat/go/text.h"

namespace quipu::gotmpl {

Value printable(const Value& value) {
  Value v = value.unboxed();
  if (v.is(Kind::kPointer)) {
    if (v.is_nil()) return v;
    v = v.target();
  }
  return v.valid() ? v : Value::string("<no value>");
}

std::string escape_html(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '\0':
        out += "\xef\xbf\xbd";
        break;
      case '"':
        out += "&#34;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string escape_js(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const Rune r = decode_rune(text.substr(i));
    const bool quoted = r.value == '\\' || r.value == '\'' || r.value == '"';
    const bool special = r.value == '<' || r.value == '>' || r.value == '&' || r.value == '=';
    if (quoted)
      out.append("\\").append(1, static_cast<char>(r.value));
    else if (special || r.value < ' ' || (r.value >= 0x80 && !is_print(r.value)))
      out += fmt::format("\\u{:04X}", static_cast<uint32_t>(r.value));
    else
      out += text.substr(i, r.width);
    i += r.width;
  }
  return out;
}

std::string escape_query(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (letter || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' || c == '~')
      out += c;
    else if (c == ' ')
      out += '+';
    else
      out += fmt::format("%{:02X}", static_cast<uint8_t>(c));
  }
  return out;
}

}  // namespace quipu::gotmpl
