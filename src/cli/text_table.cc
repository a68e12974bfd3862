#include "cli/text_table.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/render.h"

namespace quipu::cli {

namespace {

constexpr std::string_view kBetween = "    ";
constexpr std::string_view kBlank = " \t\r\n\v\f";

std::vector<size_t> widths_of(const Rows& rows) {
  std::vector<size_t> widths;
  for (const Row& row : rows)
    for (size_t i = 0; i < row.size(); ++i) {
      if (i == widths.size()) widths.push_back(0);
      widths[i] = std::max(widths[i], display_width(row[i]));
    }
  return widths;
}

void append_padded(std::string& out, const std::string& cell, size_t width) {
  out += cell;
  const size_t own = display_width(cell);
  if (own < width) out.append(width - own, ' ');
}

}  // namespace

size_t display_width(std::string_view text) {
  size_t width = 0;
  while (!text.empty()) {
    size_t n = 0;
    width += static_cast<size_t>(code_point_width(decode_utf8(text, &n)));
    text.remove_prefix(n);
  }
  return width;
}

std::string list_table(const Row& titles, const Rows& rows) {
  Rows all = rows;
  all.push_back(titles);
  const std::vector<size_t> widths = widths_of(all);
  std::string out;
  for (size_t i = 0; i < titles.size(); ++i) {
    append_padded(out, titles[i], widths[i]);
    out += i + 1 < titles.size() ? kBetween : " ";
  }
  out += '\n';
  for (const Row& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      append_padded(out, row[i], widths[i]);
      out += kBetween;
    }
    out += '\n';
  }
  return out;
}

std::string block(std::string_view title, const Rows& rows) {
  // One very long cell pads no other: every row would fill lines of its own.
  constexpr size_t kWidest = 100;
  const std::vector<size_t> widths = widths_of(rows);
  std::string out = fmt::format("  {}\n", title);
  for (const Row& row : rows) {
    out += kBetween;
    for (size_t i = 0; i < row.size(); ++i) {
      append_padded(out, row[i], std::min(widths[i], kWidest));
      out += kBetween;
    }
    out += '\n';
  }
  return out + "\n";
}

Rows head_of(std::string_view text, size_t most) {
  Rows rows;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const size_t first = line.find_first_not_of(kBlank);
    if (first == line.npos) continue;
    line = line.substr(first, line.find_last_not_of(kBlank) - first + 1);
    if (rows.size() == most) {
      rows.push_back({"..."});
      break;
    }
    rows.push_back({std::string(line)});
  }
  return rows;
}

}  // namespace quipu::cli
