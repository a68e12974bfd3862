#include "chat/jinja/html.h"

#include <algorithm>
#include <iterator>

#include "chat/jinja/html_entities.h"
#include "chat/jinja/search.h"
#include "chat/jinja/text.h"
#include "chat/jinja/unicode.h"

namespace quipu::jinja {

namespace {

using tables::Entity;

const Entity* find_entity(std::string_view name) {
  const auto* e = std::lower_bound(std::begin(tables::kEntities), std::end(tables::kEntities), name,
                                   [](const Entity& entity, std::string_view n) { return entity.name < n; });
  return e != std::end(tables::kEntities) && e->name == name ? e : nullptr;
}

// What browsers show for numbers that name control characters: the characters of Windows-1252.
constexpr char32_t kWindows1252[] = {0x20ac, 0x81,   0x201a, 0x192,  0x201e, 0x2026, 0x2020, 0x2021,
                                     0x2c6,  0x2030, 0x160,  0x2039, 0x152,  0x8d,   0x17d,  0x8f,
                                     0x90,   0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
                                     0x2dc,  0x2122, 0x161,  0x203a, 0x153,  0x9d,   0x17e,  0x178};

void append_number(std::string& out, uint64_t code) {
  if (code >= 0x80 && code < 0xa0) return append_char(out, kWindows1252[code - 0x80]);
  if (code == 0 || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return append_char(out, 0xfffd);
  if (code == 0x0d) return append_char(out, 0x0d);
  const bool invalid = code < 9 || code == 0xb || (code >= 0xe && code < 0x20) || code == 0x7f ||
                       (code >= 0xfdd0 && code < 0xfdf0) || (code & 0xfffe) == 0xfffe;
  if (!invalid) append_char(out, static_cast<char32_t>(code));
}

// A numeric reference behind "&#"; how long it is, 0 if there is none.
size_t match_number(std::string_view text, uint64_t& code) {
  const bool hex = !text.empty() && (text[0] | 32) == 'x';
  size_t at = hex ? 1 : 0;
  const size_t first = at;
  code = 0;
  for (; at < text.size(); ++at) {
    const char c = text[at];
    const char low = static_cast<char>(c | 32);
    uint64_t digit = 0;
    if (c >= '0' && c <= '9')
      digit = static_cast<uint64_t>(c - '0');
    else if (hex && low >= 'a' && low <= 'f')
      digit = static_cast<uint64_t>(low - 'a' + 10);
    else
      break;
    code = std::min<uint64_t>(code * (hex ? 16 : 10) + digit, 0x110000);
  }
  if (at == first) return 0;
  return at < text.size() && text[at] == ';' ? at + 1 : at;
}

// A named reference behind "&": resolved into `out`; how much of the text it takes.
size_t match_name(std::string_view text, std::string& out) {
  constexpr size_t kLongest = 32;
  size_t end = 0;
  while (end < text.size() && end < kLongest &&
         std::string_view("\t\n\f <&#;").find(text[end]) == std::string_view::npos)
    ++end;
  if (end == 0) return 0;
  if (end < text.size() && text[end] == ';') {
    if (const Entity* e = find_entity(text.substr(0, end))) {
      append_char(out, e->code);
      return end + 1;
    }
  }
  for (size_t n = end; n > 1; --n) {
    const Entity* e = find_entity(text.substr(0, n));
    if (e == nullptr || !e->bare) continue;
    append_char(out, e->code);
    return n;
  }
  return 0;
}

}  // namespace

std::string unescape_html(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  size_t at = 0;
  while (at < text.size()) {
    const size_t amp = std::min(text.find('&', at), text.size());
    out.append(text, at, amp - at);
    at = amp;
    if (at == text.size()) break;
    const std::string_view rest = text.substr(at + 1);
    uint64_t code = 0;
    size_t n = 0;
    if (rest.starts_with('#')) {
      n = match_number(rest.substr(1), code);
      if (n != 0) append_number(out, code);
      n += n != 0 ? 1 : 0;
    } else {
      n = match_name(rest, out);
    }
    if (n == 0) out += '&';
    at += 1 + n;
  }
  return out;
}

std::string strip_tags(Budget& budget, std::string_view text) {
  budget.work(4 * text.size());
  std::string kept;
  size_t at = 0;
  for (size_t start = text.find('<'); start != std::string_view::npos; start = text.find('<', at)) {
    const bool comment = text.substr(start).starts_with("<!--");
    const size_t end = comment ? text.find("-->", start + 4) : text.find('>', start);
    if (end == std::string_view::npos) break;
    kept.append(text, at, start - at);
    at = end + (comment ? 3 : 1);
  }
  kept.append(text, at);
  std::string out;
  bool space = false;
  for (size_t i = 0; i < kept.size();) {
    const size_t start = i;
    if (is_space(next_char(kept, i))) {
      space = !out.empty();
      continue;
    }
    if (space) out += ' ';
    space = false;
    out.append(kept, start, i - start);
  }
  return unescape_html(out);
}

// ---- links

namespace {

bool is_ascii_letter(char c) { return (c | 32) >= 'a' && (c | 32) <= 'z'; }
bool is_ascii_digit(char c) { return c >= '0' && c <= '9'; }

bool starts_with_nocase(std::string_view text, std::string_view lower) {
  return text.size() >= lower.size() &&
         std::equal(lower.begin(), lower.end(), text.begin(), [](char a, char b) {
           return a == (b >= 'A' && b <= 'Z' ? static_cast<char>(b | 32) : b);
         });
}

// Behind the host: a port, then a path.
bool is_rest_of_url(std::string_view rest) {
  if (rest.starts_with(':')) {
    size_t n = 1;
    while (n < rest.size() && n <= 5 && is_ascii_digit(rest[n])) ++n;
    if (n == 1) return false;
    rest.remove_prefix(n);
  }
  return rest.empty() || rest[0] == '/' || rest[0] == '?' || rest[0] == '#';
}

// The host: labels of letters, digits and the like, with dots between them.
size_t host_end(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    size_t next = at;
    const char32_t c = next_char(text, next);
    if (!is_word(c) && c != '%' && c != '-' && c != '.') break;
    at = next;
  }
  return at;
}

bool is_label(std::string_view label, size_t least, size_t most) {
  const size_t n = count_chars(label);
  return n >= least && n <= most;
}

bool all_letters(std::string_view s) { return std::all_of(s.begin(), s.end(), is_ascii_letter); }

bool is_ip4(std::string_view host) {
  int parts = 0;
  for (size_t at = 0; at <= host.size();) {
    const size_t dot = std::min(host.find('.', at), host.size());
    const std::string_view part = host.substr(at, dot - at);
    if (part.empty() || part.size() > 3 || !std::all_of(part.begin(), part.end(), is_ascii_digit))
      return false;
    ++parts;
    at = dot + 1;
  }
  return parts == 4;
}

bool is_domain(std::string_view host, bool after_scheme) {
  const size_t dot = host.rfind('.');
  const std::string_view top = dot == std::string_view::npos ? host : host.substr(dot + 1);
  // Every label in between has at least a character.
  std::string_view front = dot == std::string_view::npos ? std::string_view() : host.substr(0, dot);
  for (size_t at = 0; dot != std::string_view::npos && at <= front.size();) {
    const size_t end = std::min(front.find('.', at), front.size());
    if (!is_label(front.substr(at, end - at), after_scheme ? 1 : 2, after_scheme ? SIZE_MAX : 63))
      return false;
    at = end + 1;
  }
  if (after_scheme) {
    if (starts_with_nocase(top, "xn--")) return is_label(top.substr(4), 2, 59);
    return all_letters(top) && is_label(top, 2, 63);
  }
  const std::string lower = to_lower(top);
  constexpr std::string_view kTops[] = {"com", "net", "int", "edu", "gov", "org", "info", "mil"};
  return dot != std::string_view::npos &&
         std::find(std::begin(kTops), std::end(kTops), lower) != std::end(kTops);
}

bool is_url(std::string_view word) {
  if (std::any_of(word.begin(), word.end(), [](char c) { return c == ' ' || c == '\n'; })) return false;
  for (const std::string_view scheme : {"https://", "http://", "www."}) {
    if (!starts_with_nocase(word, scheme)) continue;
    const std::string_view rest = word.substr(scheme.size());
    if (rest.starts_with('[') && scheme != "www.") {
      const size_t close = rest.find(']');
      if (close == std::string_view::npos ||
          std::count(rest.begin(), rest.begin() + static_cast<ptrdiff_t>(close), ':') < 2)
        return false;
      const std::string_view address = rest.substr(1, close - 1);
      const bool hex = std::all_of(address.begin(), address.end(), [](char c) {
        return c == ':' || is_ascii_digit(c) || ((c | 32) >= 'a' && (c | 32) <= 'f');
      });
      return hex && is_rest_of_url(rest.substr(close + 1));
    }
    const size_t end = host_end(rest);
    const std::string_view host = rest.substr(0, end);
    if (is_rest_of_url(rest.substr(end)) && (is_domain(host, true) || (scheme != "www." && is_ip4(host))))
      return true;
  }
  const size_t end = host_end(word);
  return is_domain(word.substr(0, end), false) && is_rest_of_url(word.substr(end));
}

bool is_email(std::string_view word) {
  // Something, an @, a word, and a dot with a word behind it.
  for (size_t at = word.rfind('@'); at != std::string_view::npos && at > 0; at = word.rfind('@', at - 1)) {
    const std::string_view host = word.substr(at + 1);
    size_t i = 0;
    bool ok = !host.empty();
    size_t last_dot = std::string_view::npos;
    while (ok && i < host.size()) {
      const size_t start = i;
      const char32_t c = next_char(host, i);
      if (c == '.') last_dot = start;
      ok = is_word(c) || (start > 0 && (c == '.' || c == '-'));
    }
    if (ok && last_dot != std::string_view::npos && last_dot + 1 < host.size() &&
        host.find('-', last_dot) == std::string_view::npos)
      return true;
  }
  return false;
}

class Linker {
 public:
  Linker(Budget& budget, const LinkStyle& style) : budget_(budget), style_(style) {
    if (!style.rel.empty()) attributes_ += fmt::format(" rel=\"{}\"", escape_html(style.rel));
    if (!style.target.empty()) attributes_ += fmt::format(" target=\"{}\"", escape_html(style.target));
  }

  std::string word(std::string_view word) {
    budget_.work(8 * word.size());
    std::string_view head, tail;
    size_t at = 0;
    while (at < word.size()) {
      if (word[at] == '(' || word[at] == '<')
        ++at;
      else if (word.substr(at).starts_with("&lt;"))
        at += 4;
      else
        break;
    }
    head = word.substr(0, at);
    std::string_view middle = word.substr(at);
    size_t end = middle.size();
    while (end > 0) {
      if (std::string_view(")>.,\n").find(middle[end - 1]) != std::string_view::npos)
        --end;
      else if (middle.substr(0, end).ends_with("&gt;"))
        end -= 4;
      else
        break;
    }
    tail = middle.substr(end);
    middle = middle.substr(0, end);
    balance(middle, tail, "(", ")");
    balance(middle, tail, "<", ">");
    balance(middle, tail, "&lt;", "&gt;");
    return std::string(head) + link(middle) + std::string(tail);
  }

 private:
  // Closing brackets behind a link belong to it as far as it has opening ones. Middle and tail lie side by
  // side.
  void balance(std::string_view& middle, std::string_view& tail, std::string_view open,
               std::string_view close) {
    const size_t n_open = count_text(budget_, middle, open);
    if (n_open <= count_text(budget_, middle, close)) return;
    for (size_t i = std::min(n_open, count_text(budget_, tail, close)); i > 0; --i) {
      const size_t end = tail.find(close) + close.size();
      middle = {middle.data(), middle.size() + end};
      tail.remove_prefix(end);
    }
  }

  std::string shown(std::string_view url) const {
    if (style_.limit == SIZE_MAX || count_chars(url) <= style_.limit) return std::string(url);
    return std::string(url.substr(0, char_offset(url, style_.limit))) + "...";
  }

  std::string link(std::string_view middle) {
    if (is_url(middle)) {
      const bool has_scheme = middle.starts_with("https://") || middle.starts_with("http://");
      return fmt::format("<a href=\"{}{}\"{}>{}</a>", has_scheme ? "" : "https://", middle, attributes_,
                         shown(middle));
    }
    if (middle.starts_with("mailto:") && is_email(middle.substr(7)))
      return fmt::format("<a href=\"{}\">{}</a>", middle, middle.substr(7));
    if (middle.find('@') != std::string_view::npos && !middle.starts_with("www.") &&
        !middle.starts_with('@') && middle.find(':') == std::string_view::npos && is_email(middle))
      return fmt::format("<a href=\"mailto:{}\">{}</a>", middle, middle);
    std::string out(middle);
    for (const std::string& scheme : style_.extra_schemes)
      if (out != scheme && out.starts_with(scheme))
        out = fmt::format("<a href=\"{}\"{}>{}</a>", out, attributes_, out);
    return out;
  }

  Budget& budget_;
  const LinkStyle& style_;
  std::string attributes_;
};

}  // namespace

std::string link_urls(Budget& budget, std::string_view text, const LinkStyle& style) {
  TextBuilder out(budget);
  budget.work(6 * text.size());
  budget.check_size(6 * text.size());
  const std::string escaped = escape_html(text);
  Linker linker(budget, style);
  const std::string_view all = escaped;
  for (size_t at = 0; at < all.size();) {
    size_t end = at;
    const auto space_at = [&](size_t i) { return is_space(next_char(all, i)); };
    while (end < all.size() && !space_at(end)) end += char_bytes(all[end]);
    out.add(linker.word(all.substr(at, end - at)));
    at = end;
    while (end < all.size() && space_at(end)) end += char_bytes(all[end]);
    out.add(all.substr(at, end - at));
    at = end;
  }
  return out.take();
}

}  // namespace quipu::jinja
