#include "cli/render.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <array>

#include "cli/console.h"

namespace quipu::cli {

int code_point_width(char32_t c) {
  if (c < 0x20 || (c >= 0x7F && c < 0xA0)) return 0;
  if (c < 0x300) return 1;
  return std::clamp(utf8proc_charwidth(static_cast<utf8proc_int32_t>(c)), 0, 2);
}

char32_t decode_utf8(std::string_view text, size_t* length) {
  utf8proc_int32_t c = -1;
  const auto n = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                  static_cast<utf8proc_ssize_t>(text.size()), &c);
  *length = n > 0 ? static_cast<size_t>(n) : 1;
  return n > 0 && c >= 0 ? static_cast<char32_t>(c) : U'\uFFFD';
}

std::string encode_utf8(char32_t c) {
  std::array<utf8proc_uint8_t, 4> bytes;
  const auto n = utf8proc_encode_char(static_cast<utf8proc_int32_t>(c), bytes.data());
  return n > 0 ? std::string(reinterpret_cast<const char*>(bytes.data()), static_cast<size_t>(n)) : "\uFFFD";
}

std::string fit_page(std::string_view page, int columns) {
  std::string out;
  const auto width = static_cast<size_t>(std::max(columns, 20));
  while (!page.empty()) {
    std::string_view line = page.substr(0, page.find('\n'));
    page.remove_prefix(std::min(line.size() + 1, page.size()));
    const size_t margin = std::min(line.find_first_not_of(' '), line.size());
    const size_t gap = line.rfind("  ");
    size_t indent = gap != line.npos && gap >= margin ? gap + 2 : margin;
    if (indent + 20 > width) indent = margin + 4;  // too little is left beside it
    for (size_t first = 0; line.size() + first > width; first = indent) {
      const size_t room = width - first;
      size_t at = line.rfind(' ', room);
      if (at == line.npos || (first == 0 && at < indent)) at = line.find(' ', room);
      if (at == line.npos) break;
      out += line.substr(0, line.find_last_not_of(' ', at) + 1);
      out += "\n" + std::string(indent, ' ');
      line.remove_prefix(std::min(line.find_first_not_of(' ', at), line.size()));
    }
    out += line;
    out += '\n';
  }
  return out;
}

int rows_before_cursor(std::string_view text, int columns) {
  columns = std::max(columns, 2);
  int row = 0, column = 0;
  while (!text.empty()) {
    size_t n = 0;
    const char32_t c = decode_utf8(text, &n);
    text.remove_prefix(n);
    if (c == '\n') {
      ++row;
      column = 0;
      continue;
    }
    const int width = c == '\t' ? 8 - column % 8 : c < 0x20 || c == 0x7F ? 2 : code_point_width(c);
    if (column + width > columns) {
      ++row;
      column = 0;
    }
    column += width;
    if (column >= columns) {
      ++row;
      column = 0;
    }
  }
  return row;
}

std::string fit_window(std::string_view text, int columns, int rows) {
  const std::string page = fit_page(text, columns);
  std::string out;
  int used = 1;  // the cursor's
  for (size_t at = 0; at < page.size();) {
    const size_t end = std::min(page.find('\n', at), page.size());
    std::string line = page.substr(at, end - at);
    line.resize(line.find_last_not_of(' ') + 1);  // a table's padding would begin a row of its own
    line += '\n';
    used += rows_before_cursor(line, columns);
    if (used > rows) break;
    out += line;
    at = end + 1;
  }
  return out;
}

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    size_t n = 0;
    const char32_t c = decode_utf8(text, &n);
    const bool control = c < 0x20 || (c >= 0x7F && c < 0xA0);
    if (!control || c == '\n' || c == '\t') {
      if (c == U'\uFFFD')
        out += "\uFFFD";
      else
        out += text.substr(0, n);
    }
    text.remove_prefix(n);
  }
  return out;
}

WordWrap::WordWrap(int columns) : limit_(std::max(columns - kMargin, 1)) {}

std::string WordWrap::feed(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    size_t n = 0;
    const char32_t c = decode_utf8(text, &n);
    put(c, text.substr(0, n), out);
    text.remove_prefix(n);
  }
  return out;
}

void WordWrap::put(char32_t c, std::string_view bytes, std::string& out) {
  const auto start_line = [&] {
    out += '\n';
    column_ = 0;
  };
  const auto end_word = [&] {
    word_.clear();
    word_width_ = 0;
  };
  if (c == '\n') {
    start_line();
    return end_word();
  }
  if (c == ' ' || c == '\t') {
    end_word();
    if (column_ >= limit_) return start_line();  // the break stands for the space
    out += bytes;
    column_ = c == '\t' ? (column_ / 8 + 1) * 8 : column_ + 1;
    return;
  }
  const int width = code_point_width(c);
  if (column_ + width > limit_ && column_ > 0) {
    // Han and kana may break anywhere; so must a word that fills the line alone.
    if (width == 2 || word_width_ == 0 || word_width_ >= column_) {
      start_line();
      end_word();
    } else {
      out += fmt::format("\x1b[{}D\x1b[K\n", word_width_);
      out += word_;
      column_ = word_width_;
    }
  }
  out += bytes;
  column_ += width;
  if (width == 2) return end_word();
  word_ += bytes;
  word_width_ += width;
}

Spinner::Spinner(Console& console, std::string label) : console_(console), label_(std::move(label)) {}

void Spinner::tick() {
  if (!console_.err_has_cursor()) return;
  static constexpr std::array kFrames = {"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"};
  console_.err(fmt::format("\r{}{} ", label_, kFrames[frame_++ % kFrames.size()]));
  shown_ = true;
}

void Spinner::clear() {
  if (shown_) console_.err("\r\x1b[K");
  shown_ = false;
}

}  // namespace quipu::cli
