#include "modelfile/go_values.h"

#include <algorithm>
#include <charconv>
#include <string>

namespace quipu::modelfile {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
bool is_hex_digit(char c) { return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'f'); }

// The digits without the '_' between them; nothing where one stands elsewhere. A hexadecimal prefix counts as
// a digit.
std::optional<std::string> without_underscores(std::string_view text, bool hex) {
  std::string out;
  const auto digit = [hex](char c) { return hex ? is_hex_digit(c) : is_digit(c); };
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      out += text[i];
      continue;
    }
    const bool before = i == 0 ? hex : digit(text[i - 1]);
    if (!before || i + 1 == text.size() || !digit(text[i + 1])) return std::nullopt;
  }
  return out;
}

// Does a number that float cannot hold lie near 0 rather than far from it? `text` is well-formed.
bool is_tiny(std::string_view text, char exponent_letter) {
  const size_t at =
      std::min(text.find(exponent_letter), text.find(static_cast<char>(exponent_letter - 'a' + 'A')));
  if (at != text.npos) return at + 1 < text.size() && text[at + 1] == '-';
  return std::ranges::all_of(text.substr(0, text.find('.')), [](char c) { return c == '0'; });
}

// A run of `allowed` characters in dot-separated parts, none empty; where numbers_strict, numbers have no
// zero in front.
bool is_dotted(std::string_view text, bool numbers_strict) {
  for (;;) {
    const size_t dot = text.find('.');
    const std::string_view part = text.substr(0, dot);
    if (part.empty()) return false;
    if (!std::ranges::all_of(
            part, [](char c) { return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'z') || c == '-'; }))
      return false;
    if (numbers_strict && part.size() > 1 && part[0] == '0' && std::ranges::all_of(part, is_digit))
      return false;
    if (dot == text.npos) return true;
    text.remove_prefix(dot + 1);
  }
}

// Takes a number without a zero in front from the text.
bool take_number(std::string_view& text) {
  size_t n = 0;
  while (n < text.size() && is_digit(text[n])) ++n;
  if (n == 0 || (n > 1 && text[0] == '0')) return false;
  text.remove_prefix(n);
  return true;
}

}  // namespace

std::optional<int64_t> parse_go_int(std::string_view text) {
  if (text.starts_with('+')) {
    text.remove_prefix(1);
    if (text.starts_with('-')) return std::nullopt;
  }
  int64_t v = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), v);
  if (ec != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return v;
}

std::optional<float> parse_go_float(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  const bool hex = text.size() > 2 && text[0] == '0' && lower(text[1]) == 'x';
  if (hex) text.remove_prefix(2);
  const auto digits = without_underscores(text, hex);
  // from_chars would take a sign of its own and names of numbers.
  if (!digits || digits->empty() ||
      !(digits->front() == '.' || (hex ? is_hex_digit(digits->front()) : is_digit(digits->front()))))
    return std::nullopt;
  const char exponent_letter = hex ? 'p' : 'e';
  if (hex && digits->find_first_of("pP") == std::string::npos) return std::nullopt;
  float v = 0;
  const char* end = digits->data() + digits->size();
  const auto [stopped, ec] =
      std::from_chars(digits->data(), end, v, hex ? std::chars_format::hex : std::chars_format::general);
  if (stopped != end || ec == std::errc::invalid_argument) return std::nullopt;
  if (ec == std::errc::result_out_of_range) {
    if (!is_tiny(*digits, exponent_letter)) return std::nullopt;
    v = 0;
  }
  return negative ? -v : v;
}

std::optional<bool> parse_go_bool(std::string_view text) {
  for (const std::string_view yes : {"1", "t", "T", "TRUE", "true", "True"})
    if (text == yes) return true;
  for (const std::string_view no : {"0", "f", "F", "FALSE", "false", "False"})
    if (text == no) return false;
  return std::nullopt;
}

bool is_go_semver(std::string_view text) {
  if (!text.starts_with('v')) return false;
  text.remove_prefix(1);
  for (int i = 0; i < 3; ++i) {
    if (i > 0) {
      if (text.empty()) return true;  // "v1" and "v1.2" are short for ".0"
      if (!text.starts_with('.')) return false;
      text.remove_prefix(1);
    }
    if (!take_number(text)) return false;
  }
  if (text.starts_with('-')) {
    const size_t end = text.find('+');
    if (!is_dotted(text.substr(1, end == text.npos ? end : end - 1), true)) return false;
    text.remove_prefix(std::min(end, text.size()));
  }
  if (text.starts_with('+')) return is_dotted(text.substr(1), false);
  return text.empty();
}

}  // namespace quipu::modelfile
