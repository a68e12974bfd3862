#include "chat/jinja/lines.h"

#include <algorithm>
#include <string>

#include "chat/jinja/unicode.h"

namespace quipu::jinja {

namespace {

bool ends_line(char32_t c) {
  return (c >= 10 && c <= 13) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

// White space for wrapping is ASCII's alone: text may hold spaces that are not to be broken at.
bool is_blank(char32_t c) { return c == ' ' || (c >= 9 && c <= 13); }
bool is_letter(char32_t c) { return is_word(c) && !is_decimal(c); }
bool is_word_or_punctuation(char32_t c) {
  return is_word(c) || c == '!' || c == '"' || c == '\'' || c == '&' || c == '.' || c == ',' || c == '?';
}

class Wrapper {
 public:
  Wrapper(Budget& budget, std::string_view text) : budget_(budget) {
    budget_.check_size(text.size() * sizeof(char32_t));
    for (size_t at = 0; at < text.size();) text_.push_back(next_char(text, at));
  }

  std::vector<std::string> wrap(size_t width, bool break_long_words, bool break_on_hyphens) {
    std::vector<Chunk> chunks = split(break_on_hyphens);
    std::reverse(chunks.begin(), chunks.end());  // what comes next is at the back
    std::vector<std::string> lines;
    while (!chunks.empty()) {
      if (blank(chunks.back()) && !lines.empty()) chunks.pop_back();
      std::vector<Chunk> line;
      size_t length = 0;
      while (!chunks.empty() && length + chunks.back().size() <= width) {
        length += chunks.back().size();
        line.push_back(chunks.back());
        chunks.pop_back();
      }
      if (!chunks.empty() && chunks.back().size() > width)
        take_long_word(chunks, line, width - length, break_long_words, break_on_hyphens);
      if (!line.empty() && blank(line.back())) line.pop_back();
      if (!line.empty()) lines.push_back(text_of(line));
    }
    return lines;
  }

 private:
  struct Chunk {
    size_t first, last;  // [first, last)
    size_t size() const { return last - first; }
  };

  bool blank(const Chunk& c) const {
    return std::all_of(text_.begin() + static_cast<ptrdiff_t>(c.first),
                       text_.begin() + static_cast<ptrdiff_t>(c.last), is_space);
  }

  std::string text_of(const std::vector<Chunk>& line) const {
    std::string out;
    for (const Chunk& c : line)
      for (size_t i = c.first; i < c.last; ++i) append_char(out, text_[i]);
    budget_.work(out.size());
    return out;
  }

  bool letter_at(size_t i) const { return i < text_.size() && is_letter(text_[i]); }

  // Two dashes or more at `at`, a word before and behind: where they end, or 0.
  size_t dashes(size_t at) const {
    if (at == 0 || !is_word_or_punctuation(text_[at - 1])) return 0;
    size_t end = at;
    while (end < text_.size() && text_[end] == '-') ++end;
    return end - at >= 2 && end < text_.size() && is_word(text_[end]) ? end : 0;
  }

  // A hyphen at `at` that a line may break behind.
  bool breaks_after(size_t at) const {
    if (text_[at] != '-') return false;
    const bool word_before = (at >= 2 && is_letter(text_[at - 1]) && is_letter(text_[at - 2])) ||
                             (at >= 3 && is_letter(text_[at - 3]) && text_[at - 2] == '-' &&
                              is_word_or_punctuation(text_[at - 1]));
    if (!word_before || !letter_at(at + 1)) return false;
    return letter_at(at + 2) || (at + 2 < text_.size() && text_[at + 2] == '-' && letter_at(at + 3));
  }

  std::vector<Chunk> split(bool break_on_hyphens) {
    std::vector<Chunk> chunks;
    const auto add = [&](size_t first, size_t last) {
      budget_.step();
      budget_.check_size((chunks.size() + 1) * sizeof(Chunk));
      chunks.push_back({first, last});
    };
    for (size_t at = 0; at < text_.size();) {
      size_t end = at;
      if (is_blank(text_[at])) {
        while (end < text_.size() && is_blank(text_[end])) ++end;
      } else if (!break_on_hyphens) {
        while (end < text_.size() && !is_blank(text_[end])) ++end;
      } else if (const size_t dash_end = dashes(at); dash_end != 0) {
        end = dash_end;
      } else {
        ++end;
        bool after_hyphen = false;
        while (end < text_.size() && !is_blank(text_[end])) {
          if (breaks_after(end)) {
            after_hyphen = true;
            break;
          }
          if (text_[end] == '-' && text_[end - 1] != '-' && dashes(end) != 0) break;
          ++end;
        }
        if (after_hyphen) ++end;
      }
      add(at, end);
      at = end;
    }
    return chunks;
  }

  void take_long_word(std::vector<Chunk>& chunks, std::vector<Chunk>& line, size_t space,
                      bool break_long_words, bool break_on_hyphens) {
    Chunk& chunk = chunks.back();
    if (!break_long_words) {
      if (!line.empty()) return;
      line.push_back(chunk);
      chunks.pop_back();
      return;
    }
    size_t n = space;
    if (break_on_hyphens && chunk.size() > space) {
      size_t hyphen = space;
      while (hyphen > 0 && text_[chunk.first + hyphen - 1] != '-') --hyphen;
      if (hyphen > 1) {
        const auto begin = text_.begin() + static_cast<ptrdiff_t>(chunk.first);
        if (std::any_of(begin, begin + static_cast<ptrdiff_t>(hyphen - 1),
                        [](char32_t c) { return c != '-'; }))
          n = hyphen;
      }
      budget_.work(space);
    }
    line.push_back({chunk.first, chunk.first + n});
    chunk.first += n;
  }

  Budget& budget_;
  std::u32string text_;
};

}  // namespace

std::vector<std::string_view> split_lines(Budget& budget, std::string_view text, bool keep_ends) {
  std::vector<std::string_view> lines;
  budget.work(text.size());
  for (size_t at = 0; at < text.size();) {
    size_t end = at, next = at;
    while (next < text.size()) {
      end = next;
      const char32_t c = next_char(text, next);
      if (ends_line(c)) {
        if (c == '\r' && next < text.size() && text[next] == '\n') ++next;
        break;
      }
      end = next;
    }
    budget.step();
    budget.check_size((lines.size() + 1) * sizeof(std::string_view));
    lines.push_back(text.substr(at, (keep_ends ? next : end) - at));
    at = next;
  }
  return lines;
}

std::vector<std::string> wrap_words(Budget& budget, std::string_view text, int width, bool break_long_words,
                                    bool break_on_hyphens) {
  if (width <= 0) fail(Fault::kValue, "invalid width {} (must be > 0)", width);
  return Wrapper(budget, text).wrap(static_cast<size_t>(width), break_long_words, break_on_hyphens);
}

}  // namespace quipu::jinja
