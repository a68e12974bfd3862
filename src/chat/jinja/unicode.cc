#include "chat/jinja/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <iterator>

#include "chat/jinja/unicode_tables.h"

namespace quipu::jinja {

namespace {

using tables::FullCase;
using tables::Range;

template <size_t N>
bool in_ranges(const Range (&ranges)[N], char32_t c) {
  const auto* r = std::upper_bound(std::begin(ranges), std::end(ranges), c,
                                   [](char32_t value, const Range& range) { return value < range.first; });
  return r != std::begin(ranges) && c <= std::prev(r)->last;
}

utf8proc_category_t category(char32_t c) { return utf8proc_category(static_cast<utf8proc_int32_t>(c)); }

bool between(utf8proc_category_t c, utf8proc_category_t first, utf8proc_category_t last) {
  return c >= first && c <= last;
}

const FullCase* full_case(char32_t c) {
  const auto* f = std::lower_bound(std::begin(tables::kFullCase), std::end(tables::kFullCase), c,
                                   [](const FullCase& entry, char32_t value) { return entry.from < value; });
  return f != std::end(tables::kFullCase) && f->from == c ? f : nullptr;
}

void append_all(std::string& out, const char32_t* chars) {
  for (; *chars != 0; ++chars) append_char(out, *chars);
}

void append_upper(std::string& out, char32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c);
  } else if (const FullCase* full = full_case(c)) {
    append_all(out, full->upper);
  } else {
    append_char(out, static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(c))));
  }
}

void append_title(std::string& out, char32_t c) {
  if (const FullCase* full = full_case(c)) return append_all(out, full->title);
  append_char(out, static_cast<char32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(c))));
}

bool is_cased(char32_t c) { return is_lower(c) || is_upper(c) || is_title(c); }

// Characters that case mapping looks through: accents, apostrophes, full stops within words.
bool is_case_ignorable(char32_t c) {
  const utf8proc_category_t k = category(c);
  return k == UTF8PROC_CATEGORY_MN || k == UTF8PROC_CATEGORY_ME || k == UTF8PROC_CATEGORY_CF ||
         k == UTF8PROC_CATEGORY_LM || k == UTF8PROC_CATEGORY_SK || c == '\'' || c == '.' || c == ':' ||
         c == 0xb7 || c == 0x387 || c == 0x2018 || c == 0x2019 || c == 0x2024 || c == 0x2027;
}

// A capital sigma at the end of a word becomes the final one. `start` and `end` enclose it. The search looks
// through ignorable characters, but not through more than a word may have: long runs would take quadratic
// time.
bool is_final_sigma(std::string_view text, size_t start, size_t end) {
  constexpr int kMaxIgnorable = 64;
  size_t at = start;
  bool after_letter = false;
  for (int n = 0; at > 0 && n < kMaxIgnorable; ++n) {
    const char32_t c = previous_char(text, at);
    if (is_case_ignorable(c)) continue;
    after_letter = is_cased(c);
    break;
  }
  if (!after_letter) return false;
  at = end;
  for (int n = 0; at < text.size() && n < kMaxIgnorable; ++n) {
    const char32_t c = next_char(text, at);
    if (!is_case_ignorable(c)) return !is_cased(c);
  }
  return true;
}

void append_lower(std::string& out, std::string_view text, char32_t c, size_t start, size_t end) {
  if (c < 0x80) {
    out += static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  } else if (c == 0x130) {
    append_all(out, U"i\u0307");
  } else if (c == 0x3a3) {
    append_char(out, is_final_sigma(text, start, end) ? 0x3c2 : 0x3c3);
  } else {
    append_char(out, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))));
  }
}

}  // namespace

std::string to_valid_utf8(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  size_t at = 0;
  while (at < bytes.size()) {
    size_t plain = at;
    while (plain < bytes.size() && static_cast<unsigned char>(bytes[plain]) < 0x80) ++plain;
    out.append(bytes, at, plain - at);
    at = plain;
    if (at == bytes.size()) break;
    utf8proc_int32_t c = -1;
    const auto n =
        utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(bytes.data() + at),
                         static_cast<utf8proc_ssize_t>(std::min<size_t>(4, bytes.size() - at)), &c);
    if (n <= 0) {
      append_char(out, 0xfffd);
      ++at;
    } else {
      out.append(bytes, at, static_cast<size_t>(n));
      at += static_cast<size_t>(n);
    }
  }
  return out;
}

char32_t next_char(std::string_view text, size_t& at) {
  const auto byte = [&](size_t i) { return static_cast<char32_t>(static_cast<unsigned char>(text[at + i])); };
  const size_t n = char_bytes(text[at]);
  char32_t c = byte(0);
  if (n == 2) c = (c & 0x1f) << 6 | (byte(1) & 0x3f);
  if (n == 3) c = (c & 0x0f) << 12 | (byte(1) & 0x3f) << 6 | (byte(2) & 0x3f);
  if (n == 4) c = (c & 0x07) << 18 | (byte(1) & 0x3f) << 12 | (byte(2) & 0x3f) << 6 | (byte(3) & 0x3f);
  at += n;
  return c;
}

char32_t previous_char(std::string_view text, size_t& at) {
  do --at;
  while (at > 0 && is_continuation(text[at]));
  size_t again = at;
  return next_char(text, again);
}

void append_char(std::string& out, char32_t c) {
  const auto put = [&](char32_t b) { out += static_cast<char>(b); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xc0 | c >> 6);
    put(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    put(0xe0 | c >> 12);
    put(0x80 | (c >> 6 & 0x3f));
    put(0x80 | (c & 0x3f));
  } else {
    put(0xf0 | c >> 18);
    put(0x80 | (c >> 12 & 0x3f));
    put(0x80 | (c >> 6 & 0x3f));
    put(0x80 | (c & 0x3f));
  }
}

size_t count_chars(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return !is_continuation(c); }));
}

size_t char_offset(std::string_view text, size_t n) {
  size_t at = 0;
  for (; n > 0 && at < text.size(); --n) at += char_bytes(text[at]);
  return at;
}

bool is_space(char32_t c) {
  if (c < 0x80) return (c >= 9 && c <= 13) || (c >= 28 && c <= 32);
  return c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 ||
         c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

bool is_alpha(char32_t c) {
  if (c < 0x80) return (c | 32) >= 'a' && (c | 32) <= 'z';
  return between(category(c), UTF8PROC_CATEGORY_LU, UTF8PROC_CATEGORY_LO);
}
bool is_decimal(char32_t c) {
  if (c < 0x80) return c >= '0' && c <= '9';
  return category(c) == UTF8PROC_CATEGORY_ND;
}
int decimal_value(char32_t c) {
  if (c < 0x80) return static_cast<int>(c - '0');
  // Unicode has the ten digits of a script side by side, and at most five scripts' together.
  char32_t first = c;
  while (c - first < 50 && is_decimal(first - 1)) --first;
  return static_cast<int>((c - first) % 10);
}
bool is_digit(char32_t c) { return is_decimal(c) || in_ranges(tables::kDigits, c); }
bool is_numeric(char32_t c) {
  if (c < 0x80) return c >= '0' && c <= '9';
  return between(category(c), UTF8PROC_CATEGORY_ND, UTF8PROC_CATEGORY_NO) ||
         in_ranges(tables::kNumericLetters, c);
}
bool is_alnum(char32_t c) { return is_alpha(c) || is_numeric(c); }
bool is_lower(char32_t c) {
  if (c < 0x80) return c >= 'a' && c <= 'z';
  return category(c) == UTF8PROC_CATEGORY_LL || in_ranges(tables::kOtherLower, c);
}
bool is_upper(char32_t c) {
  if (c < 0x80) return c >= 'A' && c <= 'Z';
  return category(c) == UTF8PROC_CATEGORY_LU || in_ranges(tables::kOtherUpper, c);
}
bool is_title(char32_t c) { return c >= 0x80 && category(c) == UTF8PROC_CATEGORY_LT; }

bool is_printable(char32_t c) {
  if (c < 0x80) return c >= 32 && c < 127;
  switch (category(c)) {
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

bool is_identifier(std::string_view text) {
  if (text.empty()) return false;
  size_t at = 0;
  while (at < text.size()) {
    const bool first = at == 0;
    const char32_t c = next_char(text, at);
    if (c == '_' || is_alpha(c)) continue;
    const utf8proc_category_t k = category(c);
    if (k == UTF8PROC_CATEGORY_NL) continue;
    if (first || (k != UTF8PROC_CATEGORY_ND && k != UTF8PROC_CATEGORY_MN && k != UTF8PROC_CATEGORY_MC &&
                  k != UTF8PROC_CATEGORY_PC))
      return false;
  }
  return true;
}

std::string to_upper(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) append_upper(out, next_char(text, at));
  return out;
}

std::string to_lower(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const size_t start = at;
    const char32_t c = next_char(text, at);
    append_lower(out, text, c, start, at);
  }
  return out;
}

std::string to_title(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  bool within = false;
  for (size_t at = 0; at < text.size();) {
    const size_t start = at;
    const char32_t c = next_char(text, at);
    if (within)
      append_lower(out, text, c, start, at);
    else
      append_title(out, c);
    within = is_cased(c);
  }
  return out;
}

std::string to_capitalized(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const size_t start = at;
    const char32_t c = next_char(text, at);
    if (start == 0)
      append_title(out, c);
    else
      append_lower(out, text, c, start, at);
  }
  return out;
}

std::string to_swapped_case(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const size_t start = at;
    const char32_t c = next_char(text, at);
    if (is_upper(c))
      append_lower(out, text, c, start, at);
    else if (is_lower(c))
      append_upper(out, c);
    else
      append_char(out, c);
  }
  return out;
}

std::string to_folded_case(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const char32_t c = next_char(text, at);
    if (c < 0x80) {
      out += static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
      continue;
    }
    utf8proc_int32_t folded[8];
    int last_boundary = UTF8PROC_BOUNDCLASS_START;
    const auto n = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c), folded, 8, UTF8PROC_CASEFOLD,
                                           &last_boundary);
    if (n <= 0 || n > 8)
      append_char(out, c);
    else
      for (utf8proc_ssize_t i = 0; i < n; ++i) append_char(out, static_cast<char32_t>(folded[i]));
  }
  return out;
}

std::string_view trim_left(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    size_t next = at;
    if (!is_space(next_char(text, next))) break;
    at = next;
  }
  return text.substr(at);
}

std::string_view trim_right(std::string_view text) {
  size_t end = text.size();
  while (end > 0) {
    size_t start = end;
    if (!is_space(previous_char(text, start))) break;
    end = start;
  }
  return text.substr(0, end);
}

}  // namespace quipu::jinja
