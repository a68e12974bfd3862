#include "base/go_text.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include "base/utf8.h"

namespace quipu {

namespace {

bool is_white_space(char32_t c) {
  return (c >= '\t' && c <= '\r') || c == ' ' || c == 0x85 || c == 0xa0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
         c == 0x3000;
}

}  // namespace

bool is_go_printable(char32_t c) {
  if (c < 0x7f) return c >= ' ';
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return false;
    default:
      return true;
  }
}

std::string_view trim_white_space(std::string_view text) {
  while (!text.empty()) {
    const Utf8Char c = decode_utf8(text);
    if (!is_white_space(c.value)) break;
    text.remove_prefix(c.bytes);
  }
  while (!text.empty()) {
    size_t start = text.size() - 1;
    while (start > 0 && text.size() - start < 4 && (static_cast<unsigned char>(text[start]) & 0xc0) == 0x80)
      --start;
    const Utf8Char c = decode_utf8(text.substr(start));
    if (start + c.bytes != text.size() || !is_white_space(c.value)) break;
    text.remove_suffix(c.bytes);
  }
  return text;
}

std::string go_quote(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const Utf8Char c = decode_utf8(text);
    const std::string_view bytes = text.substr(0, c.valid ? c.bytes : 1);
    text.remove_prefix(bytes.size());
    if (!c.valid) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(bytes[0]));
      continue;
    }
    switch (c.value) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\a':
        out += "\\a";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\v':
        out += "\\v";
        break;
      default:
        if (is_go_printable(c.value))
          out += bytes;
        else if (c.value < ' ' || c.value == 0x7f)
          out += fmt::format("\\x{:02x}", static_cast<uint32_t>(c.value));
        else
          out += c.value < 0x10000 ? fmt::format("\\u{:04x}", static_cast<uint32_t>(c.value))
                                   : fmt::format("\\U{:08x}", static_cast<uint32_t>(c.value));
    }
  }
  return out + "\"";
}

}  // namespace quipu
