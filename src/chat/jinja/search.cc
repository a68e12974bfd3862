#include "chat/jinja/search.h"

#include <cstring>

#include "chat/jinja/text.h"
#include "chat/jinja/unicode.h"

namespace quipu::jinja {

size_t find_text(Budget& budget, std::string_view text, std::string_view what, size_t from) {
  if (from > text.size()) return std::string_view::npos;
  if (what.empty()) return from;
  // glibc's memmem needs linear time, whatever the pattern.
  const void* found = memmem(text.data() + from, text.size() - from, what.data(), what.size());
  const size_t at = found == nullptr ? std::string_view::npos
                                     : static_cast<size_t>(static_cast<const char*>(found) - text.data());
  budget.work((found == nullptr ? text.size() : at) - from + what.size());
  return at;
}

std::string reversed_bytes(Budget& budget, std::string_view text) {
  budget.work(text.size());
  budget.check_size(text.size());
  return {text.rbegin(), text.rend()};
}

// There is no memmem from the end, so both are turned round.
size_t rfind_text(Budget& budget, std::string_view text, std::string_view what) {
  if (what.empty()) return text.size();
  if (what.size() > text.size()) return std::string_view::npos;
  if (what.size() == 1) {
    budget.work(text.size());
    return text.rfind(what[0]);
  }
  const size_t at = find_text(budget, reversed_bytes(budget, text), reversed_bytes(budget, what), 0);
  return at == std::string_view::npos ? at : text.size() - at - what.size();
}

size_t count_text(Budget& budget, std::string_view text, std::string_view what) {
  if (what.empty()) return count_chars(text) + 1;
  size_t n = 0;
  for (size_t at = find_text(budget, text, what, 0); at != std::string_view::npos;
       at = find_text(budget, text, what, at + what.size()))
    ++n;
  return n;
}

std::string replace_text(Budget& budget, std::string_view text, std::string_view what, std::string_view by,
                         Int n) {
  TextBuilder out(budget);
  size_t at = 0;
  while (n != 0) {
    const size_t hit = find_text(budget, text, what, at);
    if (hit == std::string_view::npos) break;
    if (n > 0) --n;
    if (!what.empty()) {
      out.add(text.substr(at, hit - at));
      out.add(by);
      at = hit + what.size();
      continue;
    }
    // Between all characters.
    out.add(by);
    if (at == text.size()) break;
    const size_t width = char_bytes(text[at]);
    out.add(text.substr(at, width));
    at += width;
    if (n == 0) break;
  }
  out.add(text.substr(std::min(at, text.size())));
  return out.take();
}

}  // namespace quipu::jinja
