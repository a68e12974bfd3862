#include "chat/go/text.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <array>

namespace quipu::gotmpl {

namespace {

uint8_t byte_at(std::string_view text, size_t i) { return static_cast<uint8_t>(text[i]); }

// How many bytes a character takes whose first byte is `lead`, and what its second may be (RFC 3629).
struct Lead {
  uint8_t width = 0;  // 0: no character begins so
  uint8_t low = 0x80, high = 0xbf;
};
Lead lead_of(uint8_t lead) {
  if (lead < 0x80) return {1};
  if (lead < 0xc2) return {};
  if (lead < 0xe0) return {2};
  if (lead < 0xf0)
    return {3, lead == 0xe0 ? uint8_t{0xa0} : uint8_t{0x80}, lead == 0xed ? uint8_t{0x9f} : uint8_t{0xbf}};
  if (lead < 0xf5)
    return {4, lead == 0xf0 ? uint8_t{0x90} : uint8_t{0x80}, lead == 0xf4 ? uint8_t{0x8f} : uint8_t{0xbf}};
  return {};
}

// Of the bytes that a character should have, so many are there and right.
size_t good_bytes(std::string_view text, const Lead& lead) {
  size_t n = 1;
  while (n < lead.width && n < text.size()) {
    const uint8_t b = byte_at(text, n);
    if (n == 1 ? b < lead.low || b > lead.high : b < 0x80 || b > 0xbf) break;
    ++n;
  }
  return n;
}

utf8proc_category_t category(char32_t r) {
  return r > kMaxRune ? UTF8PROC_CATEGORY_CN : utf8proc_category(static_cast<utf8proc_int32_t>(r));
}

void append_escaped(std::string& out, char32_t r, char32_t mark, bool ascii) {
  if (r == mark || r == '\\') {
    out += '\\';
    out += static_cast<char>(r);
    return;
  }
  if (is_print(r) && (!ascii || r < 0x80)) return append_rune(out, r);
  constexpr std::string_view kControls = "\a\b\f\n\r\t\v", kLetters = "abfnrtv";
  if (r < 0x80) {
    if (const size_t i = kControls.find(static_cast<char>(r)); i != std::string_view::npos) {
      out += '\\';
      out += kLetters[i];
    } else {
      out += fmt::format("\\x{:02x}", static_cast<uint32_t>(r));
    }
    return;
  }
  if (!is_valid_rune(r)) r = kReplacement;
  out += r < 0x10000 ? fmt::format("\\u{:04x}", static_cast<uint32_t>(r))
                     : fmt::format("\\U{:08x}", static_cast<uint32_t>(r));
}

}  // namespace

Rune decode_rune(std::string_view text) {
  const uint8_t first = byte_at(text, 0);
  const Lead lead = lead_of(first);
  if (lead.width == 1) return {first, 1};
  if (lead.width == 0 || good_bytes(text, lead) < lead.width) return {kReplacement, 1};
  constexpr std::array<uint8_t, 5> kMask = {0, 0, 0x1f, 0x0f, 0x07};
  char32_t r = first & kMask[lead.width];
  for (size_t i = 1; i < lead.width; ++i) r = r << 6 | (byte_at(text, i) & 0x3f);
  return {r, lead.width};
}

Rune decode_last_rune(std::string_view text) {
  for (size_t width = 1; width <= 4 && width <= text.size(); ++width) {
    if ((byte_at(text, text.size() - width) & 0xc0) == 0x80) continue;
    const Rune r = decode_rune(text.substr(text.size() - width));
    if (r.width == width) return r;
    break;
  }
  return {kReplacement, 1};
}

void append_rune(std::string& out, char32_t r) {
  if (!is_valid_rune(r)) r = kReplacement;
  const auto tail = [&](int shift) { out += static_cast<char>(0x80 | (r >> shift & 0x3f)); };
  if (r < 0x80) {
    out += static_cast<char>(r);
  } else if (r < 0x800) {
    out += static_cast<char>(0xc0 | r >> 6);
    tail(0);
  } else if (r < 0x10000) {
    out += static_cast<char>(0xe0 | r >> 12);
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xf0 | r >> 18);
    tail(12);
    tail(6);
    tail(0);
  }
}

size_t count_runes(std::string_view text) {
  size_t n = 0;
  for (size_t i = 0; i < text.size(); ++n) i += decode_rune(text.substr(i)).width;
  return n;
}

std::string to_valid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const Rune r = decode_rune(text.substr(i));
    append_rune(out, r.value);
    i += r.width;
  }
  return out;
}

bool is_rune_prefix(std::string_view text) {
  if (text.empty()) return false;
  const Lead lead = lead_of(byte_at(text, 0));
  return text.size() < lead.width && good_bytes(text, lead) == text.size();
}

bool is_letter(char32_t r) {
  const utf8proc_category_t c = category(r);
  return c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_LO;
}

bool is_decimal_digit(char32_t r) {
  return r < 0x80 ? r >= '0' && r <= '9' : category(r) == UTF8PROC_CATEGORY_ND;
}

bool is_print(char32_t r) {
  if (r < 0x80) return r >= 0x20 && r < 0x7f;
  const utf8proc_category_t c = category(r);
  return c >= UTF8PROC_CATEGORY_LU &&
         c <= UTF8PROC_CATEGORY_SO;  // letters, marks, numbers, punctuation, symbols
}

bool is_space(char32_t r) {
  if (r < 0x80) return r == ' ' || (r >= '\t' && r <= '\r');
  return r == 0x85 || r == 0xa0 || r == 0x1680 || (r >= 0x2000 && r <= 0x200a) || r == 0x2028 ||
         r == 0x2029 || r == 0x202f || r == 0x205f || r == 0x3000;
}

std::string to_lower(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const Rune r = decode_rune(text.substr(i));
    append_rune(out, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(r.value))));
    i += r.width;
  }
  return out;
}

std::string_view trim_left(std::string_view text) {
  while (!text.empty()) {
    const Rune r = decode_rune(text);
    if (!is_space(r.value)) break;
    text.remove_prefix(r.width);
  }
  return text;
}

std::string_view trim(std::string_view text) {
  text = trim_left(text);
  while (!text.empty()) {
    const Rune r = decode_last_rune(text);
    if (!is_space(r.value)) break;
    text.remove_suffix(r.width);
  }
  return text;
}

std::string quote(std::string_view text, bool ascii) {
  std::string out = "\"";
  out.reserve(text.size() + 2);
  for (size_t i = 0; i < text.size();) {
    const Rune r = decode_rune(text.substr(i));
    if (r.value == kReplacement && r.width == 1)
      out += fmt::format("\\x{:02x}", byte_at(text, i));
    else
      append_escaped(out, r.value, '"', ascii);
    i += r.width;
  }
  return out + '"';
}

std::string quote_rune(char32_t r, bool ascii) {
  std::string out = "'";
  append_escaped(out, is_valid_rune(r) ? r : kReplacement, '\'', ascii);
  return out + '\'';
}

bool can_backquote(std::string_view text) {
  constexpr char32_t kByteOrderMark = 0xfeff;
  for (size_t i = 0; i < text.size();) {
    const Rune r = decode_rune(text.substr(i));
    i += r.width;
    if (r.width > 1 ? r.value == kByteOrderMark
                    : r.value == kReplacement || (r.value < ' ' && r.value != '\t') || r.value == '`' ||
                          r.value == 0x7f)
      return false;
  }
  return true;
}

std::string unicode_name(char32_t r, bool shown) {
  std::string out = fmt::format("U+{:04X}", static_cast<uint32_t>(r));
  if (shown && r <= kMaxRune && is_print(r)) {
    out += " '";
    append_rune(out, r);
    out += '\'';
  }
  return out;
}

}  // namespace quipu::gotmpl
